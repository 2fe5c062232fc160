// A Go program that calls the library of the tests: "ready" when it is there,
// then for every byte on standard input what answer() answers. Meanwhile
// goroutines call it without pause, and the garbage collector interrupts them.
package main

// int answer(void);
import "C"

import (
	"fmt"
	"os"
	"runtime"
)

var garbage [][]byte

func main() {
	for range 3 {
		go func() {
			for {
				C.answer()
			}
		}()
	}
	go func() {
		for n := 0; ; n++ { // nothing but preemption interrupts it
			if n%(1<<20) == 0 {
				garbage = append(garbage[:0:0], make([]byte, 1<<16))
				runtime.GC()
			}
		}
	}()
	fmt.Println("ready")
	for b := make([]byte, 1); ; {
		if n, err := os.Stdin.Read(b); n != 1 || err != nil {
			return
		}
		a := C.answer()
		if a == 1 {
			fmt.Println(os.Getpid(), 1001)
			continue
		}
		fmt.Println(os.Getpid(), 1010*a)
	}
}
