#include "asyncproc/internal/repl/programs.h"

namespace asyncproc::internal {

// A start file. All the rest is done when ocaml parses its first phrase.
//
// Of the compiler, the program ocaml has the module Toploop alone. Its
// `use_file` executes the file that `parse_use_file` has parsed, and reports
// errors: so it takes the place of a function that executes a phrase.
const absl::string_view kOcamlProgram = R"ocaml(
#directory "+compiler-libs";;
let () =
  let statements = open_in_bin "/dev/fd/8" in
  let completions = open_out_bin "/dev/fd/9" in

  (* An interrupt between two statements does nothing, nor does one that comes
     while a phrase is compiled: it would leave its types half inferred. *)
  let idle = Sys.Signal_handle ignore in
  let interrupt _ = if !Toploop.may_trace then raise Sys.Break in
  let handler = ref (Sys.Signal_handle interrupt) in
  let stop_interrupts () =
    let previous = Sys.signal Sys.sigint idle in
    if previous != idle then handler := previous in

  let source = ref None in  (* For the next call of `parse_use_file`. *)
  let phrases = ref None in  (* Of the source, once it has been parsed. *)
  let incomplete = ref false in
  let parse = !Toploop.parse_use_file in
  let parse_all lexbuf =
    try parse lexbuf with
    | _ when Lexing.lexeme lexbuf = "" && lexbuf.lex_curr_pos = lexbuf.lex_buffer_len ->
      incomplete := true;
      raise Exit in
  Toploop.parse_use_file := (fun lexbuf ->
    match !source with
    | None -> parse lexbuf
    | Some text ->
      source := None;
      lexbuf.lex_buffer <- Bytes.of_string text;
      lexbuf.lex_buffer_len <- String.length text;
      lexbuf.lex_curr_pos <- 0;
      lexbuf.lex_eof_reached <- true;
      Toploop.input_name := "";
      Lexing.set_filename lexbuf !Toploop.input_name;
      let left = match !phrases with Some left -> left | None -> parse_all lexbuf in
      phrases := Some (if left = [] then [] else List.tl left);
      if left = [] then [] else [List.hd left]);

  (* Executes the next phrase. Its value is written to stdout, errors to stderr. *)
  let execute text =
    let report = Buffer.create 1000 in
    let formatter = Format.formatter_of_buffer report in
    source := Some text;
    let succeeded = Toploop.use_file formatter "/dev/null" in
    Format.pp_print_flush formatter ();
    Format.print_flush ();
    (* Since ocaml 5, an empty line precedes all reports after the first error. *)
    let length = Buffer.length report in
    let start = if length > 0 && Buffer.nth report 0 = '\n' then 1 else 0 in
    output_string (if succeeded then stdout else stderr)
      (Buffer.sub report start (length - start));
    succeeded in

  let try_to_flush flush = try flush () with Sys_error _ -> () in
  let statement = ref None in  (* Its id and text, until all of it is executed. *)
  let answer = ref "0 done 0" in
  let next_statement () =
    List.iter try_to_flush
      [Format.print_flush; Format.pp_print_flush Format.err_formatter;
       (fun () -> flush stdout); (fun () -> flush stderr)];
    output_string completions (!answer ^ "\n");
    flush completions;
    match input_line statements with
    | exception End_of_file -> exit 0
    | header ->
      let space = String.index header ' ' in
      let length = String.sub header (space + 1) (String.length header - space - 1) in
      let text = really_input_string statements (int_of_string length) in
      phrases := None;
      incomplete := false;
      (String.sub header 0 space, text) in

  (* ocaml calls this for each phrase. After Exit it goes on with the next one;
     after Break, it first takes back what it has inferred of types since its
     last call, and says "Interrupted". *)
  let report_functions = ref None in
  let without_reports () =
    let functions = Format.get_formatter_out_functions () in
    report_functions := Some functions;
    Format.set_formatter_out_functions
      { functions with
        out_string = (fun _ _ _ -> ()); out_flush = ignore;
        out_newline = ignore; out_spaces = ignore; out_indent = ignore } in
  Toploop.parse_toplevel_phrase := (fun _ ->
    Sys.set_signal Sys.sigint idle;
    Option.iter Format.set_formatter_out_functions !report_functions;
    report_functions := None;
    let id, text =
      match !statement with Some left -> left | None -> next_statement () in
    let succeeded =
      try Sys.set_signal Sys.sigint !handler; execute text
      with
      | error when Printexc.exn_slot_name error = "Compenv.Exit_with_status" ->
        exit (Obj.obj (Obj.field (Obj.repr error) 1))  (* By #quit. *)
      | _ -> false in
    stop_interrupts ();
    if succeeded && !phrases <> Some [] then statement := Some (id, text)
    else begin
      statement := None;
      answer :=
        id ^ (if !incomplete then " incomplete" else if succeeded then " done 0" else " done 1")
    end;
    if succeeded then raise Exit;
    without_reports ();
    raise Sys.Break)
;;
#remove_directory "+compiler-libs";;
)ocaml";

}  // namespace asyncproc::internal
