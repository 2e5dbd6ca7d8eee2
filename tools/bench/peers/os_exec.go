// Go's os/exec, running a program COUNT times in a row and keeping its output:
//
//	os_exec PROGRAM COUNT
package main

import (
	"fmt"
	"log"
	"os"
	"os/exec"
	"strconv"
)

func main() {
	count, err := strconv.Atoi(os.Args[2])
	if err != nil {
		log.Fatal(err)
	}
	for i := 0; i < count; i++ {
		out, err := exec.Command(os.Args[1], strconv.Itoa(i)).Output()
		if err != nil {
			log.Fatal(err)
		}
		if string(out) != fmt.Sprintln(i) {
			log.Fatalf("run %d has written %q", i, out)
		}
	}
}
