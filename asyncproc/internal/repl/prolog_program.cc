#include "asyncproc/internal/repl/programs.h"

namespace asyncproc::internal {

const absl::string_view kPrologProgram = R"prolog(
:- module(asyncproc, []).
:- dynamic process/1.

main :-
    open('/dev/fd/8', read, Statements, [encoding(octet), eof_action(eof_code)]),
    open('/dev/fd/9', write, Completions, [encoding(octet)]),
    set_stream(user_output, buffer(false)),  % Questions are written before a read.
    on_signal(int, _, asyncproc:interrupt),
    current_prolog_flag(pid, Process),
    assertz(process(Process)),
    tell(Completions, "0 done 0"),
    repeat,
    serve(Statements, Completions),
    fail.

tell(Completions, Line) :-
    forall(member(Stream, [user_output, user_error]),
           catch(flush_output(Stream), _, true)),
    current_prolog_flag(pid, Process),
    ( process(Process) -> true ; halt ),  % A copy made by fork ends here.
    format(Completions, "~s~n", [Line]),
    flush_output(Completions).

% The catch of run encloses the frame of interruptible.
interrupt(_) :-
    prolog_current_frame(Frame),
    prolog_frame_attribute(Frame, parent_goal, asyncproc:interruptible(_)), !,
    throw(interrupted).
interrupt(_).

% The cut keeps the frame until the goal has ended.
interruptible(Goal) :- call(user:Goal), !.

serve(Statements, Completions) :-
    read_line_to_string(Statements, Header),
    ( Header == end_of_file -> halt ; true ),
    split_string(Header, " ", "", [Id, LengthText]),
    number_string(Length, LengthText),
    read_string(Statements, Length, Bytes),
    string_codes(Bytes, Octets),
    % Bytes that are not UTF-8 are taken for Latin-1.
    ( catch(phrase(utf8_codes(Codes), Octets), _, fail) -> true ; Codes = Octets ),
    string_codes(Text, Codes),
    answer(Text, Answer),
    format(string(Line), "~s ~s", [Id, Answer]),
    tell(Completions, Line).

answer(Text, "done 0") :-
    split_string(Text, "", " \t\n\r.", [""]), !.
answer(Text, Answer) :-
    catch(parsed(Text, Goal, Bindings), Error, true),
    (   nonvar(Error)
    ->  (   needs_more(Error)
        ->  Answer = "incomplete"
        ;   print_message(error, Error), Answer = "done 1" )
    ;   Goal == end_of_file  % A comment.
    ->  Answer = "done 0"
    ;   run(Goal, Bindings, Answer) ).

needs_more(error(syntax_error(What), _)) :-
    memberchk(What, [ end_of_file, end_of_file_in_quoted, end_of_file_in_quoted(_),
                      end_of_file_in_block_comment, end_of_clause_expected, end_of_clause ]).

% A missing "." at the end is added. Without it, open brackets or a comma at the
% end make a text incomplete.
parsed(Text, Goal, Bindings) :-
    catch(read_text(Text, Goal, Bindings), error(syntax_error(end_of_file), _),
          ( string_concat(Text, "\n.", Whole),
            catch(read_text(Whole, Goal, Bindings), error(syntax_error(What), Where),
                  ( string_codes(Text, Codes),
                    ( ( What = punct(',', '.') ; opens(Codes, []) )
                    -> More = end_of_file ; More = What ),
                    throw(error(syntax_error(More), Where)) )) )).

% Whether brackets are open at the end of the text. The first argument is the rest
% of the text, and the second one has the brackets that close the open ones.
opens([], [_|_]).
opens([0'%|Text], Open) :- !,
    ( append(_, [0'\n|Rest], Text) -> opens(Rest, Open) ; opens([], Open) ).
opens([0'/,0'*|Text], Open) :- !,
    append(_, [0'*,0'/|Rest], Text), !, opens(Rest, Open).
opens([0'0,0'\',0'\\,_|Text], Open) :- !, opens(Text, Open).  % A character: 0'\n.
opens([0'0,0'\',0'\',0'\'|Text], Open) :- !, opens(Text, Open).  % 0'''.
opens([0'0,0'\',_|Text], Open) :- !, opens(Text, Open).  % 0'(.
opens([Quote|Text], Open) :- memberchk(Quote, [0'\',0'",0'`]), !,
    after_quoted(Text, Quote, Rest), opens(Rest, Open).
opens([Bracket|Text], Open) :- memberchk(Bracket-Close, [0'(-0'), 0'[-0'], 0'{-0'}]), !,
    opens(Text, [Close|Open]).
opens([Close|Text], Open) :- memberchk(Close, [0'),0'],0'}]), !,
    Open = [Close|Rest], opens(Text, Rest).
opens([_|Text], Open) :- opens(Text, Open).

% A quote that is doubled in the text ends it, and begins another one.
after_quoted([0'\\,_|Text], Quote, Rest) :- !, after_quoted(Text, Quote, Rest).
after_quoted([Quote|Rest], Quote, Rest) :- !.
after_quoted([_|Text], Quote, Rest) :- after_quoted(Text, Quote, Rest).

read_text(Text, Goal, Bindings) :-
    setup_call_cleanup(
        open_string(Text, Stream),
        read_term(Stream, Goal, [variable_names(Bindings), module(user)]),
        close(Stream)).

run(Goal, Bindings, Answer) :-
    catch(( interruptible(Goal) -> Result = true ; Result = false ), Error, true),
    (   nonvar(Error)
    ->  ( Error == interrupted -> true ; print_message(error, Error) ), Answer = "done 1"
    ;   Result == false
    ->  format("false.~n"), Answer = "done 1"
    ;   findall(Name=Value, (member(Name=Value, Bindings), nonvar(Value)), Bound),
        show(Bound), Answer = "done 0" ).

show([]) :- !, format("true.~n").
show(Bound) :-
    forall(nth1(I, Bound, Name=Value),
           ( ( I > 1 -> format(",~n") ; true ),
             format("~w = ~W", [Name, Value, [quoted(true), portray(true), max_depth(0), spacing(next_argument)]]) )),
    format(".~n").
)prolog";

}  // namespace asyncproc::internal
