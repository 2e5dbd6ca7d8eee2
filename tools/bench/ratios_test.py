"""Tests of ratios.py: `python3 tools/bench/ratios_test.py`."""

import json
import unittest
import xml.dom.minidom

import ratios
from ratios import Work


def figure(real, cpu=1.0, **counters):
    return {"real": real, "cpu": cpu, "counters": counters}


def rounds_of(ours, limit, **others):
    """Rounds, from the times of each in turn."""
    return [
        {"asyncproc": figure(a), "limit": figure(b),
         **{who: figure(times[i]) for who, times in others.items()}}
        for i, (a, b) in enumerate(zip(ours, limit))
    ]


class SpreadTest(unittest.TestCase):

    def test_nothing_has_none(self):
        self.assertIsNone(ratios.spread([]))

    def test_one_value_is_its_own_spread(self):
        self.assertEqual(ratios.spread([3.0]), ratios.Spread(3, 3, 3, 1))

    def test_median_and_quarters_whatever_the_order(self):
        self.assertEqual(ratios.spread([5, 1, 3, 2, 4]),
                         ratios.Spread(3, 2, 4, 5))

    def test_a_stray_round_does_not_move_the_median(self):
        self.assertEqual(ratios.spread([1, 1, 1, 1, 99]).median, 1)


class EvaluateTest(unittest.TestCase):

    def test_time_is_ours_to_the_limit(self):
        result = ratios.evaluate(Work("w", "W", bar=1.3),
                                 rounds_of([3.0], [2.0]))
        self.assertEqual(result.value.median, 1.5)
        self.assertIs(result.met, False)

    def test_rate_is_the_limits_time_to_ours(self):
        result = ratios.evaluate(Work("w", "W", kind="rate", bar=0.5),
                                 rounds_of([4.0], [2.0]))
        self.assertEqual(result.value.median, 0.5)
        self.assertIs(result.met, True)

    def test_ratios_are_taken_within_a_round(self):
        # The second round was slow for both.
        result = ratios.evaluate(Work("w", "W", bar=1.3),
                                 rounds_of([1.0, 10.0, 1.0], [1.0, 10.0, 1.0]))
        self.assertEqual(result.value, ratios.Spread(1, 1, 1, 3))

    def test_others_are_multiples_of_ours_in_the_rounds_that_have_them(self):
        rounds = rounds_of([2.0, 4.0], [1.0, 1.0], python=[10.0, 20.0])
        rounds.append({"asyncproc": figure(1.0), "limit": figure(1.0)})
        result = ratios.evaluate(Work("w", "W", bar=5, ahead={"python": 5}),
                                 rounds)
        self.assertEqual(result.others["python"], ratios.Spread(5, 5, 5, 2))
        self.assertEqual(result.value.count, 3)
        self.assertIs(result.met, True)

    def test_who_is_not_far_enough_behind_is_a_miss(self):
        result = ratios.evaluate(Work("w", "W", bar=5, ahead={"python": 6}),
                                 rounds_of([2.0], [1.0], python=[10.0]))
        self.assertIs(result.met, False)

    def test_nothing_is_known_without_the_one_to_be_ahead_of(self):
        result = ratios.evaluate(Work("w", "W", bar=5, ahead={"python": 6}),
                                 rounds_of([2.0], [1.0]))
        self.assertIsNone(result.met)

    def test_what_is_missed_is_missed_whatever_is_not_known(self):
        result = ratios.evaluate(Work("w", "W", bar=1, ahead={"python": 6}),
                                 rounds_of([2.0], [1.0]))
        self.assertIs(result.met, False)

    def test_who_gave_up_would_have_taken_longer(self):
        rounds = rounds_of([1.0], [1.0], pexpect=[200.0])
        rounds[0]["pexpect"]["counters"]["gave_up"] = 1
        result = ratios.evaluate(Work("w", "W", bar=5, ahead={"pexpect": 100}),
                                 rounds)
        self.assertIs(result.met, True)
        self.assertIn("pexpect > 200 x", ratios.table([result]))

    def test_where_nothing_is_asked_nothing_is_met(self):
        result = ratios.evaluate(Work("w", "W"), rounds_of([2.0], [1.0]))
        self.assertIsNone(result.met)
        self.assertEqual(result.value.median, 2)

    def test_nothing_measured_is_no_miss(self):
        result = ratios.evaluate(Work("w", "W", bar=1), [{}])
        self.assertIsNone(result.value)
        self.assertIsNone(result.met)

    def test_a_counter_is_taken_as_it_is(self):
        rounds = [{"asyncproc": figure(1.0, wakeups=0)}]
        work = Work("w", "W", kind="counter", counter="wakeups", bar=0)
        result = ratios.evaluate(work, rounds)
        self.assertEqual(result.value.median, 0)
        self.assertIs(result.met, True)


class ReportTest(unittest.TestCase):

    def setUp(self):
        super().setUp()
        work = Work("drain", "drain <2 GB>", kind="rate", bar=0.85)
        self.rounds = {"drain": rounds_of([2.0, 2.0], [1.9, 1.9],
                                          python=[8.0, 8.0])}
        self.results = [ratios.evaluate(work, self.rounds["drain"])]

    def test_the_table_has_the_ratio_and_the_verdict(self):
        row = ratios.table(self.results).splitlines()[2]
        cells = [cell.strip() for cell in row.strip("|").split("|")]
        self.assertEqual(cells[:5], ["drain <2 GB>", "0.95 of its rate",
                                     "0.95 to 0.95", "≥ 0.85", "met"])
        self.assertEqual(cells[6], "python 4.00 x")

    def test_json_holds_every_figure(self):
        data = json.loads(json.dumps(
            ratios.as_json(self.results, self.rounds, {"rounds": 2})))
        self.assertEqual(data["context"], {"rounds": 2})
        self.assertEqual(data["works"][0]["rounds"][1]["python"]["real"], 8.0)
        self.assertAlmostEqual(data["works"][0]["value"]["median"], 0.95)

    def test_the_chart_is_xml_with_a_bar_for_each(self):
        chart = ratios.svg(self.results, "a <machine>")
        bars = xml.dom.minidom.parseString(chart).getElementsByTagName("rect")
        lengths = [float(bar.getAttribute("width")) for bar in bars]
        self.assertEqual(len(lengths), 2)
        self.assertAlmostEqual(lengths[0] / lengths[1], 4, places=1)


if __name__ == "__main__":
    unittest.main()
