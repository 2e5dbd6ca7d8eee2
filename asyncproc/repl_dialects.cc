#include "asyncproc/repl_dialects.h"

#include <algorithm>
#include <utility>

#include "absl/status/status.h"
#include "absl/strings/ascii.h"
#include "absl/strings/escaping.h"
#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "absl/strings/str_split.h"
#include "absl/strings/string_view.h"
#include "re2/re2.h"

namespace asyncproc {
namespace {

// Executes what it is handed, one statement after the other, as the prompt
// does; then prints the marker on both streams.
constexpr absl::string_view kPython = R"(
import sys
sys.ps1 = sys.ps2 = ''
def __asyncproc__(source, head, tail):
    import ast, codeop, traceback
    scope = sys.modules['__main__'].__dict__
    status = 0
    try:
        source = source.decode()
        if codeop.compile_command(source + '\n', '<stdin>', 'exec') is None:
            status = 'incomplete'
        else:
            for node in ast.parse(source, '<stdin>').body:
                exec(compile(ast.Interactive([node]), '<stdin>', 'single'), scope)
    except SystemExit:
        raise
    except BaseException as error:
        status = 1
        trace = error.__traceback__.tb_next
        if isinstance(error, SyntaxError) and error.filename == '<stdin>':
            trace = None
            if source.endswith('\\'):
                status = 'incomplete'
        traceback.print_exception(type(error), error, trace)
    sys.stdout.flush()
    sys.stderr.flush()
    for stream in sys.__stdout__, sys.__stderr__:
        print(head + tail, status, file=stream, flush=True)
)";

// The same in JavaScript: it reads a JSON array from each line.
constexpr absl::string_view kNode = R"(
const util = require('util'), vm = require('vm');
process.on('SIGINT', () => {});
require('readline').createInterface({input: process.stdin}).on('line', line => {
  const [source, marker] = JSON.parse(line);
  let status = 0;
  try {
    const value = vm.runInThisContext(source, {breakOnSigint: true});
    if (value !== undefined) process.stdout.write(util.inspect(value) + '\n');
  } catch (error) {
    status = 1;
    if (error instanceof SyntaxError &&
        /Unexpected end of input|Unterminated template|missing \)/.test(error.message)) {
      status = 'incomplete';
    } else {
      process.stderr.write(util.inspect(error) + '\n');
    }
  }
  for (const stream of [process.stdout, process.stderr]) {
    stream.write(marker.join('') + ' ' + status + '\n');
  }
});
)";

std::string JsonQuote(absl::string_view text) {
  std::string quoted = "\"";
  for (const char c : text) {
    if (c == '"' || c == '\\') {
      absl::StrAppend(&quoted, "\\", absl::string_view(&c, 1));
    } else if (absl::ascii_iscntrl(static_cast<unsigned char>(c))) {
      absl::StrAppendFormat(&quoted, "\\u%04x", static_cast<unsigned char>(c));
    } else {
      quoted.push_back(c);
    }
  }
  return absl::StrCat(quoted, "\"");
}

// `text` in which its first letter is written as programs that know the escapes
// of C read it, and so does not stand as it is.
std::string Disguised(absl::string_view text) {
  return absl::StrFormat("\\%03o%s", text[0], text.substr(1));
}

absl::Status Incomplete(absl::string_view statement, absl::string_view why) {
  return absl::InvalidArgumentError(absl::StrCat(
      "\"", absl::CHexEscape(statement), "\" is not complete: ", why));
}

// Where a scan of a statement stands: outside of everything, or in something
// that ends with `end`.
struct Enclosure {
  absl::string_view begin;
  absl::string_view end;
  absl::string_view name;
};

// Refuses a statement that ends within one of `enclosures`. `outside`: what is
// in none of them, with a space in the place of each.
absl::Status CheckClosed(absl::string_view statement,
                         const std::vector<Enclosure>& enclosures,
                         std::string* outside = nullptr) {
  const Enclosure* inside = nullptr;
  absl::string_view rest = statement;
  while (!rest.empty()) {
    size_t step = 1;
    if (inside != nullptr) {
      if (absl::StartsWith(rest, inside->end)) {
        step = inside->end.size();
        inside = nullptr;
      }
    } else {
      for (const Enclosure& enclosure : enclosures) {
        if (!absl::StartsWith(rest, enclosure.begin)) continue;
        step = enclosure.begin.size();
        inside = &enclosure;
        break;
      }
      if (outside != nullptr) {
        outside->push_back(inside == nullptr ? rest[0] : ' ');
      }
    }
    rest.remove_prefix(step);
  }
  // A newline is to come.
  if (inside == nullptr || inside->end == "\n") return absl::OkStatus();
  return Incomplete(statement, absl::StrCat(inside->name, " does not end"));
}

absl::Status CheckBc(absl::string_view statement) {
  std::string outside;
  absl::Status status = CheckClosed(
      statement,
      {{"\"", "\"", "a string"}, {"/*", "*/", "a comment"}, {"#", "\n", ""}},
      &outside);
  if (!status.ok()) return status;
  int depth = 0;
  for (const char c : outside) depth += c == '{' ? 1 : c == '}' ? -1 : 0;
  if (depth > 0) return Incomplete(statement, "a '{' has no '}'");
  if (absl::EndsWith(outside, "\\")) return Incomplete(statement, "a '\\'");
  return absl::OkStatus();
}

absl::Status CheckSql(absl::string_view statement) {
  // Its parts end with ";", too.
  static const LazyRE2 kTrigger = {
      "(?is)^\\s*create\\s+(?:temp\\s+|temporary\\s+)?trigger\\b"};
  static const LazyRE2 kEnd = {"(?i)\\bend\\s*;?\\s*$"};
  std::string outside;
  absl::Status status = CheckClosed(statement,
                                    {{"'", "'", "a string"},
                                     {"\"", "\"", "a name"},
                                     {"`", "`", "a name"},
                                     {"[", "]", "a name"},
                                     {"/*", "*/", "a comment"},
                                     {"--", "\n", ""}},
                                    &outside);
  if (!status.ok()) return status;
  if (RE2::PartialMatch(outside, *kTrigger) &&
      !RE2::PartialMatch(outside, *kEnd)) {
    return Incomplete(statement, "a trigger has no \"end\"");
  }
  return absl::OkStatus();
}

bool IsWordCharacter(char c) {
  return c == '_' || absl::ascii_isalnum(static_cast<unsigned char>(c)) ||
         !absl::ascii_isascii(static_cast<unsigned char>(c));
}

// What `text` begins with, if that is $$ or $tag$; else empty.
absl::string_view DollarQuote(absl::string_view text) {
  size_t size = 1;
  while (size < text.size() && IsWordCharacter(text[size])) ++size;
  if (text[0] != '$' || size >= text.size() || text[size] != '$' ||
      absl::ascii_isdigit(static_cast<unsigned char>(text[1]))) {
    return "";
  }
  return text.substr(0, size + 1);
}

// What `text` is when it begins with something that ends by itself. Sets `name`
// to what has no end, if it has none.
size_t SizeOfPsqlToken(absl::string_view text, absl::string_view* name) {
  const auto up_to = [&](absl::string_view end, size_t from,
                         absl::string_view what) {
    const size_t found = text.find(end, from);
    if (found != absl::string_view::npos) return found + end.size();
    *name = what;
    return text.size();
  };
  const bool escapes =
      text.size() > 1 && (text[0] == 'e' || text[0] == 'E') && text[1] == '\'';
  if (escapes) {
    size_t at = 2;
    while (at < text.size() && text[at] != '\'') {
      at += text[at] == '\\' ? 2 : 1;
    }
    if (at >= text.size()) *name = "a string";
    return std::min(at + 1, text.size());
  }
  if (text[0] == '\'') return up_to("'", 1, "a string");
  if (text[0] == '"') return up_to("\"", 1, "a name");
  if (absl::StartsWith(text, "--")) {
    const size_t newline = text.find('\n');
    return newline == absl::string_view::npos ? text.size() : newline + 1;
  }
  if (absl::StartsWith(text, "/*")) {
    int depth = 0;
    for (size_t at = 0; at < text.size(); ++at) {
      if (text.substr(at, 2) == "/*") ++depth, ++at;
      if (text.substr(at, 2) == "*/" && at > 1) --depth, ++at;
      if (depth == 0) return at + 1;
    }
    *name = "a comment";
    return text.size();
  }
  const absl::string_view quote = DollarQuote(text);
  if (!quote.empty()) return up_to(quote, quote.size(), "a $ string");
  size_t word = 0;
  while (word < text.size() && IsWordCharacter(text[word])) ++word;
  return std::max<size_t>(word, 1);
}

// Whether a ";" has to be added. One too many would reset :ERROR.
bool LacksPsqlEnd(absl::string_view statement) {
  char last = ';';  // Of what is neither a comment nor a space.
  for (absl::string_view rest = statement; !rest.empty();) {
    absl::string_view ignored;
    const absl::string_view token =
        rest.substr(0, SizeOfPsqlToken(rest, &ignored));
    rest.remove_prefix(token.size());
    if (!absl::StartsWith(token, "--") && !absl::StartsWith(token, "/*") &&
        !absl::ascii_isspace(static_cast<unsigned char>(token.back()))) {
      last = token.back();
    }
  }
  return last != ';' && !absl::StartsWith(statement, "\\");
}

absl::Status CheckPsql(absl::string_view statement) {
  int depth = 0;
  for (absl::string_view rest = statement; !rest.empty();) {
    depth += rest[0] == '(' ? 1 : rest[0] == ')' ? -1 : 0;
    absl::string_view open;
    rest.remove_prefix(SizeOfPsqlToken(rest, &open));
    if (!open.empty()) {
      return Incomplete(statement, absl::StrCat(open, " does not end"));
    }
  }
  if (depth > 0) return Incomplete(statement, "a '(' has no ')'");
  return absl::OkStatus();
}

// Those that take lines up to an "end". Within a program in another language,
// or a text, nothing but that has a meaning.
absl::Status CheckGdb(absl::string_view statement) {
  int depth = 0;
  bool verbatim = false;
  for (absl::string_view line : absl::StrSplit(statement, '\n')) {
    line = absl::StripAsciiWhitespace(line);
    const absl::string_view word = line.substr(0, line.find(' '));
    const bool code =
        word == "python" || word == "py" || word == "guile" || word == "gu";
    if (word == "end") {
      depth = std::max(0, depth - 1);
      verbatim = false;
    } else if (verbatim) {
      continue;
    } else if ((code && word == line) || word == "document") {
      ++depth;
      verbatim = true;
    } else if (word == "define" || word == "commands" || word == "if" ||
               word == "while" || word == "actions" ||
               word == "while-stepping" || word == "stepping") {
      ++depth;
    }
  }
  if (depth > 0) return Incomplete(statement, "an \"end\" is missing");
  if (absl::EndsWith(statement, "\\")) return Incomplete(statement, "a '\\'");
  return absl::OkStatus();
}

// Reading its statements as a script does: one that reads from a terminal would
// throw away what follows an error. `command`, so that an error of eval does
// not end it. The marker is in a line of its own, because an interrupt or an
// error ends the line it is in. An interrupt ends the program that runs by
// itself, and the shell's own loops by the trap.
ReplDialect Shell(std::vector<std::string> argv) {
  ReplDialect dialect;
  dialect.command = Command(std::move(argv));
  dialect.command.env.Unset("ENV").Unset("BASH_ENV");
  // So that an interrupt reaches what the shell runs, and nobody else.
  dialect.command.process_group = ProcessGroup::New();
  dialect.interrupted = TerminationScope::kGroup;
  dialect.setup =
      "trap 'break 1000 2>/dev/null' INT\n"
      "__asyncproc_status() { return $1; }\n";
  dialect.marks_err = true;
  // Of sh and of bash.
  dialect.incomplete =
      "eval: .*(?:end of file unexpected|Unterminated quoted string|"
      "unexpected end of file|unexpected EOF)";
  dialect.wrap = [](absl::string_view statement, const ReplMarker& marker) {
    const std::string print =
        absl::StrCat("printf '%s%s %d\\n' ", marker.head, " ", marker.tail,
                     " $__asyncproc_last");
    return absl::StrCat("command eval ",
                        ShellQuote(absl::StrCat(statement, "\n")),
                        " </dev/null\n", "__asyncproc_last=$?; ", print, "; ",
                        print, " >&2; __asyncproc_status $__asyncproc_last\n");
  };
  return dialect;
}

}  // namespace

ReplDialect BcDialect() {
  ReplDialect dialect;
  // Without -i, an interrupt ends it; with it, it repeats what it reads.
  dialect.command = Command({"bc", "-q", "-i"});
  dialect.command.env.Set("BC_LINE_LENGTH", "0").Unset("BC_ENV_ARGS");
  dialect.echoes = true;
  dialect.check = CheckBc;
  dialect.wrap = [](absl::string_view statement, const ReplMarker& marker) {
    return absl::StrCat(statement, "\nprint \"", marker.head, "\", \"",
                        marker.tail, "\\n\"\n");
  };
  return dialect;
}

ReplDialect PythonDialect() {
  ReplDialect dialect;
  dialect.command =
      Command({"python3", "-q", "-i", "-c", std::string(kPython)});
  dialect.marks_err = true;
  dialect.wrap = [](absl::string_view statement, const ReplMarker& marker) {
    return absl::StrCat("__asyncproc__(b\"", absl::CHexEscape(statement),
                        "\", '", marker.head, "', '", marker.tail, "')\n");
  };
  return dialect;
}

ReplDialect ShDialect() { return Shell({"sh"}); }

ReplDialect BashDialect() { return Shell({"bash", "--norc", "--noprofile"}); }

ReplDialect Sqlite3Dialect(const std::string& database) {
  ReplDialect dialect;
  // Otherwise an interrupt ends it. As bc's, it repeats what it reads.
  dialect.command = Command({"sqlite3", "-interactive", database});
  dialect.setup = ".prompt \"\" \"\"\n";
  dialect.echoes = true;
  dialect.check = CheckSql;
  dialect.wrap = [](absl::string_view statement, const ReplMarker& marker) {
    // It minds no ";" too many.
    return absl::StrCat(statement, "\n;\n.print \"",
                        Disguised(absl::StrCat(marker.head, marker.tail)),
                        "\"\n");
  };
  return dialect;
}

ReplDialect PsqlDialect(const std::vector<std::string>& arguments) {
  ReplDialect dialect;
  dialect.command =
      Command({"psql", "-X", "-q", "-n", "-A", "-t", "-P", "pager=off", "-v",
               "PROMPT1=", "-v", "PROMPT2=", "-v", "PROMPT3="});
  for (const std::string& argument : arguments) {
    dialect.command.argv.push_back(argument);
  }
  dialect.command.pty = Pty{24, 80, /*echo=*/false};
  dialect.check = CheckPsql;
  dialect.wrap = [](absl::string_view statement, const ReplMarker& marker) {
    // Commands of psql's own leave the last error as it is.
    return absl::StrCat("\\set ERROR false\n", statement,
                        LacksPsqlEnd(statement) ? "\n;" : "", "\n\\echo '",
                        Disguised(absl::StrCat(marker.head, marker.tail)),
                        "' :ERROR\n");
  };
  return dialect;
}

ReplDialect GdbDialect(const std::vector<std::string>& arguments) {
  ReplDialect dialect;
  dialect.command = Command({"gdb", "-q", "-nx"});
  for (const std::string& argument : arguments) {
    dialect.command.argv.push_back(argument);
  }
  dialect.setup =
      "set confirm off\nset pagination off\nset width 0\nset height 0\n"
      "set style enabled off\nset debuginfod enabled off\nset prompt\n";
  dialect.check = CheckGdb;
  dialect.wrap = [](absl::string_view statement, const ReplMarker& marker) {
    return absl::StrCat(statement, "\necho ",
                        Disguised(absl::StrCat(marker.head, marker.tail)),
                        "\\n\n");
  };
  return dialect;
}

ReplDialect NodeDialect() {
  ReplDialect dialect;
  dialect.command = Command({"node", "-e", std::string(kNode)});
  dialect.marks_err = true;
  dialect.wrap = [](absl::string_view statement, const ReplMarker& marker) {
    return absl::StrCat("[", JsonQuote(statement), ",[\"", marker.head, "\",\"",
                        marker.tail, "\"]]\n");
  };
  return dialect;
}

}  // namespace asyncproc
