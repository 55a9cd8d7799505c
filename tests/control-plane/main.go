// A Kubernetes control plane for tests that need a real one: the store, the API server, the scheduler and the controllers,
// each a process of its own, and a bench that starts them, stands before them and plays the machines. The four programs are
// in this binary (programs.go), or lie in the folder that KUBEBUILDER_ASSETS names. The first argument names the program;
// the rest are its own.
package main

import (
	"errors"
	"fmt"
	"os"
)

const usage = "usage: control-plane bench FOLDER | etcd CONFIG | apiserver|scheduler|controller-manager FLAGS"

func main() {
	if len(os.Args) < 2 {
		fail(errors.New(usage), 64)
	}
	program := os.Args[1]
	// The programs read os.Args themselves.
	os.Args = append(os.Args[:1], os.Args[2:]...)
	if program != "bench" {
		embedded(program)
		fail(errors.New(usage), 64)
	}
	if len(os.Args) != 2 {
		fail(errors.New(usage), 64)
	}
	if err := bench(os.Args[1]); err != nil {
		fail(err, 1)
	}
}

func fail(err error, code int) {
	fmt.Fprintln(os.Stderr, "control-plane:", err)
	os.Exit(code)
}
