//go:build !assets

package main

import (
	"errors"
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

// Runs one of the programs of this binary and ends with it; returns where there is none of that name.
func embedded(program string) {
	switch program {
	case "etcd":
		if len(os.Args) != 2 {
			fail(errors.New(usage), 64)
		}
		if err := etcd(os.Args[1]); err != nil {
			fail(err, 1)
		}
		os.Exit(0)
	case "apiserver":
		run(apiserver.NewAPIServerCommand())
	case "scheduler":
		run(scheduler.NewSchedulerCommand())
	case "controller-manager":
		run(controllers.NewControllerManagerCommand())
	}
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
