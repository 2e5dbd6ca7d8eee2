#include "asyncproc/internal/repl/programs.h"

namespace asyncproc::internal {

// An option -c evaluates all of its text in one module.
const absl::string_view kGuileProgram = R"guile(
(for-each primitive-eval '(
(define-module (asyncproc)
  #:use-module (ice-9 binary-ports)
  #:use-module (ice-9 history)
  #:use-module (ice-9 iconv)
  #:use-module (ice-9 rdelim)
  #:use-module (system repl common))

;; Children of the user's code do not inherit the channel.
(define (open-channel number mode)
  (let ((port (fdopen number mode)))
    (fcntl port F_SETFD FD_CLOEXEC)
    port))
(define statements (open-channel 8 "rb"))
(define completions (open-channel 9 "wb"))

;; An interrupt that comes between two statements does nothing. A handler may
;; also be called after another has taken its place.
(define running #f)
(define (interrupt signal)
  (if running (scm-error 'signal #f "User interrupt" '() #f)))
(define (idle signal) #f)
(define handler (cons interrupt 0))
(define (start-interrupts)
  (set! running #t)
  (sigaction SIGINT (car handler) (cdr handler)))
(define (stop-interrupts)
  (let ((previous (sigaction SIGINT idle)))
    (unless (eq? (car previous) idle) (set! handler previous))))

;; A thread of guile's own takes signals to their handlers, one after the other:
;; awaits those that have been sent.
(define (await-signals)
  (define done #f)
  (define previous (sigaction SIGURG (lambda (signal) (set! done #t))))
  (kill (getpid) SIGURG)
  (while (not done) (usleep 1000))
  (sigaction SIGURG (car previous) (cdr previous)))

;; The expressions of `source`; #f: it is not complete.
(define (parse source)
  (define port (open-input-string source))
  (catch 'read-error
    (lambda ()
      (let next ((expressions '()))
        (let ((expression (read port)))
          (if (eof-object? expression)
              (reverse expressions)
              (next (cons expression expressions))))))
    (lambda (key who message arguments . rest)
      (if (or (string-contains message "end of input")
              (string-contains message "end of file")
              (string-contains message "unterminated"))
          #f
          (scm-error key who message arguments #f)))))

(define repl (make-repl 'scheme))
(repl-eval repl #t)  ; Loads the compiler.
(define (evaluate expression)
  (run-hook before-eval-hook expression)
  (call-with-values
    (lambda () (repl-eval repl expression))
    (lambda results
      (for-each (lambda (result) (repl-print repl result)) results))))

(define (fail key . arguments)
  (set! running #f)
  (if (eq? key 'quit) (apply throw key arguments))
  ;; guile keeps the end of a write that was interrupted until the next one.
  (if (eq? key 'signal) (false-if-exception (newline)))
  (print-exception (current-error-port) #f key arguments))

(define (execute source)
  (define answer "done 1")
  (define (run)
    (let ((expressions (parse source)))
      (cond (expressions
             (start-interrupts)
             (for-each evaluate expressions)
             (set! running #f)
             (set! answer "done 0"))
            (else (set! answer "incomplete")))))
  ;; Another interrupt may come as the first is caught.
  (catch #t
    (lambda () (catch #t run fail))
    (lambda (key . arguments)
      (set! running #f)
      (if (eq? key 'quit) (apply throw key arguments))))
  answer)

(define (flush port) (false-if-exception (force-output port)))

(define id "0")  ; A continuation of an earlier statement may go on.
(define (serve answer)
  (flush (current-output-port))
  (flush (current-error-port))
  (display (string-append id " " answer "\n") completions)
  (force-output completions)
  (let ((header (read-line statements)))
    (if (eof-object? header) (exit))
    (let* ((words (string-split header #\space))
           (length (string->number (cadr words)))
           (bytes (if (zero? length) #vu8() (get-bytevector-n statements length)))
           (source (bytevector->string bytes "UTF-8" 'substitute)))
      (set! id (car words))
      (if (zero? length) (await-signals))
      (let ((answer (execute source)))
        (stop-interrupts)
        (serve answer)))))

;; Questions are written before their answer is read.
(let ((input (current-input-port)))
  (if (or (memq (stat:type (stat input)) '(fifo socket)) (isatty? input))
      (setvbuf (current-output-port) 'none)))
(sigaction SIGINT idle)
(set-current-module (resolve-module '(guile-user)))
(use-modules (ice-9 regex) (ice-9 session) (ice-9 threads))
((@@ (asyncproc) serve) "done 0")
))
)guile";

}  // namespace asyncproc::internal
