// A Kubernetes control plane in one binary, for tests that need a real one: the store, the API server, the scheduler and
// the controllers, each a process of its own, and a bench that starts them, stands before them and plays the machines.
// The first argument names the program; the rest are its own.
package main

import (
	"errors"
	"fmt"
	"os"
	"os/signal"
	"syscall"
	"time"

	"github.com/spf13/cobra"
	"go.etcd.io/etcd/server/v3/embed"
	"k8s.io/component-base/cli"
	_ "k8s.io/component-base/logs/json/register"
	_ "k8s.io/component-base/metrics/prometheus/clientgo"
	_ "k8s.io/component-base/metrics/prometheus/version"
	apiserver "k8s.io/kubernetes/cmd/kube-apiserver/app"
	controllers "k8s.io/kubernetes/cmd/kube-controller-manager/app"
	scheduler "k8s.io/kubernetes/cmd/kube-scheduler/app"
)

const usage = "usage: control-plane bench FOLDER | etcd CONFIG | apiserver|scheduler|controller-manager FLAGS"

func main() {
	if len(os.Args) < 2 {
		fail(errors.New(usage), 64)
	}
	program := os.Args[1]
	// The programs below read os.Args themselves.
	os.Args = append(os.Args[:1], os.Args[2:]...)
	switch program {
	case "bench":
		if len(os.Args) != 2 {
			fail(errors.New(usage), 64)
		}
		if err := bench(os.Args[1]); err != nil {
			fail(err, 1)
		}
	case "etcd":
		if len(os.Args) != 2 {
			fail(errors.New(usage), 64)
		}
		if err := etcd(os.Args[1]); err != nil {
			fail(err, 1)
		}
	case "apiserver":
		run(apiserver.NewAPIServerCommand())
	case "scheduler":
		run(scheduler.NewSchedulerCommand())
	case "controller-manager":
		run(controllers.NewControllerManagerCommand())
	default:
		fail(errors.New(usage), 64)
	}
}

func fail(err error, code int) {
	fmt.Fprintln(os.Stderr, "control-plane:", err)
	os.Exit(code)
}

func run(command *cobra.Command) { os.Exit(cli.Run(command)) }

func etcd(config string) error {
	settings, err := embed.ConfigFromFile(config)
	if err != nil {
		return err
	}
	server, err := embed.StartEtcd(settings)
	if err != nil {
		return err
	}
	defer server.Close()
	select {
	case <-server.Server.ReadyNotify():
	case <-time.After(time.Minute):
		return errors.New("etcd is not ready after a minute")
	}
	stop := make(chan os.Signal, 1)
	signal.Notify(stop, syscall.SIGTERM, syscall.SIGINT)
	select {
	case <-stop:
		return nil
	case err := <-server.Err():
		return err
	}
}
