package main

import (
	"crypto/rand"
	"crypto/rsa"
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"encoding/pem"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"syscall"
	"time"

	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/rest"
)

// What the bench runs, where, and how it is reached.
type plane struct {
	folder   string
	etcdPort int
	peerPort int
	apiPort  int
	admin    string
	limited  string
	children []*exec.Cmd
	etcd     *exec.Cmd
	// Asks for a new start of the store; what comes back says how it went.
	restarts chan chan error
}

// Starts everything in a folder of throw-away data, says on standard output how it is reached, and serves until standard
// input ends: a test that is killed closes it too, and what the bench started dies with the bench.
func bench(folder string) error {
	// A child dies with the thread that started it (PR_SET_PDEATHSIG), so this thread must live as long as the bench.
	runtime.LockOSThread()
	plane := &plane{folder: folder, restarts: make(chan chan error)}
	if err := plane.prepare(); err != nil {
		return err
	}
	defer plane.stop()
	go func() {
		_, _ = io.Copy(io.Discard, os.Stdin)
		plane.stop()
		os.Exit(0)
	}()
	if err := plane.start(); err != nil {
		return err
	}
	config := &rest.Config{
		Host: plane.url(), BearerToken: plane.admin, QPS: 2000, Burst: 4000,
		TLSClientConfig: rest.TLSClientConfig{Insecure: true},
	}
	client, err := kubernetes.NewForConfig(config)
	if err != nil {
		return err
	}
	kubelet := newKubelet(client)
	go kubelet.run()
	control, err := newControl(plane, kubelet)
	if err != nil {
		return err
	}
	told, err := json.Marshal(map[string]string{
		"control": control, "admin": plane.admin, "limited": plane.limited, "direct": plane.url(),
	})
	if err != nil {
		return err
	}
	fmt.Println(string(told))
	// On this thread, since a child dies with the thread that started it.
	for answer := range plane.restarts {
		answer <- plane.restart()
	}
	return nil
}

// Kills the store and starts it again on what it had written.
func (p *plane) restart() error {
	if err := p.etcd.Process.Kill(); err != nil {
		return err
	}
	_ = p.etcd.Wait()
	etcd, err := p.child("etcd", filepath.Join(p.folder, "etcd.yaml"))
	p.etcd = etcd
	return err
}

func (p *plane) url() string { return fmt.Sprintf("https://127.0.0.1:%d", p.apiPort) }

// Writes keys, tokens and configurations.
func (p *plane) prepare() error {
	for _, port := range []*int{&p.etcdPort, &p.peerPort, &p.apiPort} {
		free, err := freePort()
		if err != nil {
			return err
		}
		*port = free
	}
	p.admin, p.limited = token(), token()
	key, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		return err
	}
	private := pem.EncodeToMemory(&pem.Block{Type: "RSA PRIVATE KEY", Bytes: x509.MarshalPKCS1PrivateKey(key)})
	files := map[string]string{
		"sa.key":     string(private),
		"tokens.csv": fmt.Sprintf("%s,admin,admin,system:masters\n%s,limited,limited\n", p.admin, p.limited),
		"etcd.yaml": fmt.Sprintf(`name: bench
data-dir: %s/etcd
listen-client-urls: http://127.0.0.1:%d
advertise-client-urls: http://127.0.0.1:%d
listen-peer-urls: http://127.0.0.1:%d
initial-advertise-peer-urls: http://127.0.0.1:%d
initial-cluster: bench=http://127.0.0.1:%d
unsafe-no-fsync: true
log-level: error
`, p.folder, p.etcdPort, p.etcdPort, p.peerPort, p.peerPort, p.peerPort),
		"kubeconfig": fmt.Sprintf(`apiVersion: v1
kind: Config
current-context: bench
clusters: [{name: bench, cluster: {server: "%s", insecure-skip-tls-verify: true}}]
users: [{name: admin, user: {token: %s}}]
contexts: [{name: bench, context: {cluster: bench, user: admin}}]
`, p.url(), p.admin),
		// The limits of the client are what slows a scheduler, not the scheduling.
		"scheduler.yaml": fmt.Sprintf(`apiVersion: kubescheduler.config.k8s.io/v1
kind: KubeSchedulerConfiguration
leaderElection: {leaderElect: false}
clientConnection: {kubeconfig: "%s/kubeconfig", qps: 2000, burst: 4000}
`, p.folder),
	}
	for name, text := range files {
		if err := os.WriteFile(filepath.Join(p.folder, name), []byte(text), 0o600); err != nil {
			return err
		}
	}
	return nil
}

func (p *plane) start() error {
	at := func(name string) string { return filepath.Join(p.folder, name) }
	etcd, err := p.child("etcd", at("etcd.yaml"))
	if err != nil {
		return err
	}
	p.etcd = etcd
	if _, err := p.child("apiserver",
		fmt.Sprintf("--etcd-servers=http://127.0.0.1:%d", p.etcdPort), fmt.Sprintf("--secure-port=%d", p.apiPort),
		"--bind-address=127.0.0.1", "--advertise-address=127.0.0.1", "--cert-dir="+at("certificates"),
		"--service-cluster-ip-range=10.96.0.0/16", "--service-account-issuer=https://kubernetes.default.svc",
		"--service-account-key-file="+at("sa.key"), "--service-account-signing-key-file="+at("sa.key"),
		"--token-auth-file="+at("tokens.csv"), "--authorization-mode=RBAC", "--allow-privileged=true",
		"--endpoint-reconciler-type=none", "--enable-priority-and-fairness=false",
		"--max-requests-inflight=2000", "--max-mutating-requests-inflight=1000",
		"--disable-admission-plugins=ServiceAccount,TaintNodesByCondition"); err != nil {
		return err
	}
	if err := p.ready(2 * time.Minute); err != nil {
		return err
	}
	if _, err := p.child("scheduler", "--config="+at("scheduler.yaml"), "--secure-port=0"); err != nil {
		return err
	}
	// Without kubelets that renew their leases every node would be tainted.
	_, err = p.child("controller-manager", "--kubeconfig="+at("kubeconfig"), "--leader-elect=false",
		"--secure-port=0", "--service-account-private-key-file="+at("sa.key"),
		"--use-service-account-credentials=false", "--kube-api-qps=2000", "--kube-api-burst=4000",
		"--concurrent-deployment-syncs=20", "--concurrent-replicaset-syncs=20", "--concurrent-namespace-syncs=20",
		"--controllers=*,-node-lifecycle-controller,-taint-eviction-controller,-node-ipam-controller")
	return err
}

// Starts one program; what it says goes to a file beside its data.
func (p *plane) child(program string, flags ...string) (*exec.Cmd, error) {
	path, first, err := found(program)
	if err != nil {
		return nil, err
	}
	log, err := os.OpenFile(filepath.Join(p.folder, program+".log"), os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600)
	if err != nil {
		return nil, err
	}
	if first == "" && program == "etcd" {
		flags = []string{"--config-file=" + flags[0]}
	} else if first != "" {
		flags = append([]string{first}, flags...)
	}
	command := exec.Command(path, flags...)
	command.Stdout, command.Stderr = log, log
	command.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	if err := command.Start(); err != nil {
		return nil, err
	}
	p.children = append(p.children, command)
	return command, nil
}

// Says where a program is: in the folder that KUBEBUILDER_ASSETS names, or in this binary, under its first argument.
func found(program string) (path, first string, err error) {
	name := program
	if program != "etcd" {
		name = "kube-" + program
	}
	if folder := os.Getenv("KUBEBUILDER_ASSETS"); folder != "" {
		path := filepath.Join(folder, name)
		if _, err := os.Stat(path); err == nil {
			return path, "", nil
		}
	}
	self, err := os.Executable()
	return self, program, err
}

// Kills everything at once: an API server without its store lingers for a minute.
func (p *plane) stop() {
	for _, child := range p.children {
		_ = child.Process.Kill()
	}
}

func (p *plane) ready(patience time.Duration) error {
	client := &http.Client{
		Timeout:   2 * time.Second,
		Transport: &http.Transport{TLSClientConfig: &tls.Config{InsecureSkipVerify: true}},
	}
	deadline := time.Now().Add(patience)
	for time.Now().Before(deadline) {
		request, err := http.NewRequest(http.MethodGet, p.url()+"/readyz", nil)
		if err != nil {
			return err
		}
		request.Header.Set("Authorization", "Bearer "+p.admin)
		if answer, err := client.Do(request); err == nil {
			body, _ := io.ReadAll(answer.Body)
			_ = answer.Body.Close()
			if answer.StatusCode == http.StatusOK && string(body) == "ok" {
				return nil
			}
		}
		time.Sleep(50 * time.Millisecond)
	}
	return fmt.Errorf("the API server is not ready after %s; see %s/apiserver.log", patience, p.folder)
}

func freePort() (int, error) {
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return 0, err
	}
	defer listener.Close()
	return listener.Addr().(*net.TCPAddr).Port, nil
}

func token() string { return "bench-" + rand.Text() }
