#include "asyncproc/internal/repl/programs.h"

namespace asyncproc::internal {

const absl::string_view kNodeProgram = R"js(
(() => {
  const fs = require('fs'), net = require('net'), util = require('util'), vm = require('vm');
  const module = require('module');
  // Statements may replace these.
  const stdout = process.stdout, write = fs.writeSync, shown = util.inspect;
  const statements = new net.Socket({fd: 8});
  let pending = Buffer.alloc(0);
  globalThis.require = module.createRequire(process.cwd() + '/');

  // Without this, a stream queues bytes while the pipe is full, and is stuck
  // after an interrupt in the middle of a write.
  for (const stream of [stdout, process.stderr]) {
    stream._handle?.setBlocking?.(true);
    stream.write = (data, encoding, done = encoding) => {
      let rest = Buffer.from(data, typeof encoding === 'string' ? encoding : 'utf8');
      while (rest.length > 0) rest = rest.subarray(write(stream.fd, rest));
      if (typeof done === 'function') process.nextTick(done);
      return true;
    };
  }

  // Without the frames of this program, which are behind that of node:vm. The
  // errors of node itself name their code.
  const toText = Error.prototype.toString;
  const format = Error.prepareStackTrace ?? ((error, frames) => {
    const isNodes = Object.hasOwn(error, 'code') && Object.hasOwn(error, 'toString');
    return [isNodes ? error.toString() : toText.call(error), ...frames].join('\n    at ');
  });
  Error.prepareStackTrace = (error, frames) => {
    const end = frames.findIndex(frame => frame.getFunctionName() === 'sigintHandlersWrap');
    return format(error, end < 0 ? frames : frames.slice(0, end));
  };
  const isError = util.types.isNativeError;
  const report = error => {
    try {
      write(2, (isError(error) ? '' : 'Uncaught ') + shown(error) + '\n');
    } catch {}
  };
  process.on('uncaughtException', report);
  process.on('unhandledRejection', report);
  process.on('SIGINT', () => {});

  // A Repl sends an empty statement after its interrupts. A signal that node has
  // counted, but not used, ends the next script that runs for a while.
  const useUpSignals = new vm.Script('for (const end = Date.now() + 10; Date.now() < end;);');
  const options = {
    filename: 'REPL',
    // Of node 20.12 and 21.7; earlier ones call a function without a flag.
    importModuleDynamically: vm.constants?.USE_MAIN_CONTEXT_DEFAULT_LOADER ?? (name => import(name)),
  };
  // The first import writes a warning about this constant.
  const warn = process.emitWarning;
  process.emitWarning = () => {};
  new vm.Script("import('fs')", options).runInThisContext().catch(() => {});
  process.emitWarning = warn;
  // An error in a list, a comment or a string may be the same at the end of the
  // source and in its middle. At the end, another text after it changes the error.
  const continuations = [
    [/missing \) after|Missing } in template/, [',']],
    [/Invalid or unexpected token/, ['*/', '"', "'"]],
  ];
  const fails = (source, message) => {
    try {
      new vm.Script(source, options);
    } catch (error) {
      return error.message === message;
    }
    return false;
  };
  const isIncomplete = (source, message) =>
    /Unexpected end of input|Unterminated template/.test(message) ||
    continuations.some(([pattern, texts]) => pattern.test(message) &&
      texts.some(text => !fails(source + '\n' + text, message)));
  const execute = source => {
    let script = useUpSignals;
    try {
      if (source !== '') script = new vm.Script(source, options);
    } catch (error) {
      if (isIncomplete(source, error.message)) return 'incomplete';
      write(2, error.name + ': ' + error.message + '\n');
      return 'done 1';
    }
    try {
      const value = script.runInThisContext({breakOnSigint: true});
      if (value !== undefined) stdout.write(shown(value) + '\n');
      return 'done 0';
    } catch (error) {
      report(error);
      return 'done 1';
    }
  };
  const answer = text => {
    // Rejected promises of the statement are reported first.
    setImmediate(() => write(9, text + '\n'));
  };
  statements.on('data', piece => {
    pending = Buffer.concat([pending, piece]);
    const newline = pending.indexOf(10);
    if (newline < 0) return;
    const [number, length] = pending.toString('latin1', 0, newline).split(' ').map(Number);
    const end = newline + 1 + length;
    if (pending.length < end) return;
    const source = pending.toString('utf8', newline + 1, end);
    pending = pending.subarray(end);
    answer(number + ' ' + execute(source));
  });
  statements.on('end', () => process.exit());
  write(9, '0 done 0\n');
})();
)js";

}  // namespace asyncproc::internal
