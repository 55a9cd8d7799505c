package main

import (
	"crypto/tls"
	"encoding/json"
	"fmt"
	"net"
	"net/http"
	"net/http/httputil"
	"net/url"
	"strings"
	"sync"
	"syscall"
	"time"
)

// What a door does to the requests that pass it.
type rules struct {
	// KillAt ends the process Pid when this request (from 1) has been answered, before the answer is passed on; Before ends
	// it before the request is passed on.
	KillAt int  `json:"killAt"`
	Pid    int  `json:"pid"`
	Before bool `json:"before"`
	// Fault is what every Every-th request meets instead of the server: 429, 500, 503, or "reset"; "late" only delays it.
	Fault string `json:"fault"`
	Every int    `json:"every"`
	// DelayMs is how late a late request is.
	DelayMs int `json:"delayMs"`
	// Version is what the server says it runs, where it is to say something else.
	Version string `json:"version"`
	// Most is how many requests meet the fault; 0 is no end.
	Most int `json:"most"`
}

// What has passed.
type seen struct {
	Method string `json:"method"`
	Path   string `json:"path"`
	Query  string `json:"query"`
	Status int    `json:"status"`
}

// A door to the API server that counts what passes.
type door struct {
	mutex  sync.Mutex
	rules  rules
	count  int
	faults int
	seen   []seen
	pass   *httputil.ReverseProxy
}

// The control of the bench: doors by number, the machines, the store.
type control struct {
	mutex   sync.Mutex
	doors   []*door
	plane   *plane
	kubelet *kubelet
}

func newControl(plane *plane, kubelet *kubelet) (string, error) {
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return "", err
	}
	control := &control{plane: plane, kubelet: kubelet}
	mux := http.NewServeMux()
	mux.HandleFunc("POST /doors", control.open)
	mux.HandleFunc("PUT /doors/{door}", control.rule)
	mux.HandleFunc("GET /doors/{door}", control.tell)
	mux.HandleFunc("PUT /machines", control.machines)
	mux.HandleFunc("PUT /pods", control.pods)
	mux.HandleFunc("PUT /store", control.store)
	mux.HandleFunc("POST /webhooks", control.webhook)
	go func() { _ = http.Serve(listener, mux) }()
	return "http://" + listener.Addr().String(), nil
}

// Opens a door and says where it is.
func (c *control) open(answer http.ResponseWriter, _ *http.Request) {
	target, err := url.Parse(c.plane.url())
	if err != nil {
		http.Error(answer, err.Error(), http.StatusInternalServerError)
		return
	}
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		http.Error(answer, err.Error(), http.StatusInternalServerError)
		return
	}
	pass := httputil.NewSingleHostReverseProxy(target)
	pass.Transport = &http.Transport{
		TLSClientConfig: &tls.Config{InsecureSkipVerify: true}, MaxIdleConnsPerHost: 64,
	}
	// Answers are passed on as they come, or a watch would hang.
	pass.FlushInterval = -1
	door := &door{pass: pass}
	c.mutex.Lock()
	c.doors = append(c.doors, door)
	number := len(c.doors) - 1
	c.mutex.Unlock()
	go func() { _ = http.Serve(listener, door) }()
	_ = json.NewEncoder(answer).Encode(map[string]any{"door": number, "url": "http://" + listener.Addr().String()})
}

// Starts the store anew.
func (c *control) store(answer http.ResponseWriter, _ *http.Request) {
	done := make(chan error)
	c.plane.restarts <- done
	if err := <-done; err != nil {
		http.Error(answer, err.Error(), http.StatusInternalServerError)
	}
}

func (c *control) door(request *http.Request) *door {
	var number int
	_, err := fmt.Sscan(request.PathValue("door"), &number)
	c.mutex.Lock()
	defer c.mutex.Unlock()
	if err != nil || number < 0 || number >= len(c.doors) {
		return nil
	}
	return c.doors[number]
}

// Sets the rules of a door and counts anew.
func (c *control) rule(answer http.ResponseWriter, request *http.Request) {
	door := c.door(request)
	var wanted rules
	if err := json.NewDecoder(request.Body).Decode(&wanted); err != nil || door == nil {
		http.Error(answer, fmt.Sprint("no door, or no rules: ", err), http.StatusBadRequest)
		return
	}
	door.mutex.Lock()
	defer door.mutex.Unlock()
	door.rules, door.count, door.faults, door.seen = wanted, 0, 0, nil
}

// Tells what passed a door since its rules were set.
func (c *control) tell(answer http.ResponseWriter, request *http.Request) {
	door := c.door(request)
	if door == nil {
		http.Error(answer, "no such door", http.StatusNotFound)
		return
	}
	door.mutex.Lock()
	defer door.mutex.Unlock()
	_ = json.NewEncoder(answer).Encode(append([]seen{}, door.seen...))
}

func (d *door) ServeHTTP(answer http.ResponseWriter, request *http.Request) {
	d.mutex.Lock()
	d.count++
	number, rules := d.count, d.rules
	faulty := rules.Fault != "" && rules.Every > 0 && number%rules.Every == 0 && (rules.Most == 0 || d.faults < rules.Most)
	if faulty {
		d.faults++
	}
	d.mutex.Unlock()
	doomed := rules.KillAt == number && rules.Pid > 0
	if doomed && rules.Before {
		_ = syscall.Kill(rules.Pid, syscall.SIGKILL)
		return
	}
	recorder := &recorder{ResponseWriter: answer, status: http.StatusOK}
	switch {
	case rules.Version != "" && request.URL.Path == "/version":
		_ = json.NewEncoder(recorder).Encode(map[string]string{"gitVersion": rules.Version})
	case faulty && rules.Fault == "reset":
		reset(answer)
		recorder.status = 0
	case faulty && rules.Fault != "late":
		refuse(recorder, rules.Fault)
	case doomed:
		// The server has done it; nobody hears of it.
		d.pass.ServeHTTP(&deaf{header: http.Header{}}, request)
		_ = syscall.Kill(rules.Pid, syscall.SIGKILL)
	default:
		if faulty {
			time.Sleep(time.Duration(rules.DelayMs) * time.Millisecond)
		}
		d.pass.ServeHTTP(recorder, request)
	}
	d.mutex.Lock()
	d.seen = append(d.seen, seen{request.Method, request.URL.Path, request.URL.RawQuery, recorder.status})
	d.mutex.Unlock()
}

// Answers as an overloaded or broken server does.
func refuse(answer http.ResponseWriter, fault string) {
	var code int
	if _, err := fmt.Sscan(fault, &code); err != nil {
		code = http.StatusInternalServerError
	}
	reason := map[int]string{429: "TooManyRequests", 500: "InternalError", 503: "ServiceUnavailable"}[code]
	answer.Header().Set("Content-Type", "application/json")
	if code == http.StatusTooManyRequests {
		answer.Header().Set("Retry-After", "1")
	}
	answer.WriteHeader(code)
	_ = json.NewEncoder(answer).Encode(map[string]any{
		"kind": "Status", "apiVersion": "v1", "status": "Failure", "reason": reason, "code": code,
		"message": "injected: " + strings.ToLower(http.StatusText(code)),
	})
}

// Closes the connection without a word.
func reset(answer http.ResponseWriter) {
	hijacker, ok := answer.(http.Hijacker)
	if !ok {
		return
	}
	connection, _, err := hijacker.Hijack()
	if err != nil {
		return
	}
	if tcp, ok := connection.(*net.TCPConn); ok {
		_ = tcp.SetLinger(0)
	}
	_ = connection.Close()
}

// Remembers the status of an answer.
type recorder struct {
	http.ResponseWriter
	status int
}

func (r *recorder) WriteHeader(status int) {
	r.status = status
	r.ResponseWriter.WriteHeader(status)
}

func (r *recorder) Flush() {
	if flusher, ok := r.ResponseWriter.(http.Flusher); ok {
		flusher.Flush()
	}
}

// Hears nothing.
type deaf struct{ header http.Header }

func (d *deaf) Header() http.Header             { return d.header }
func (d *deaf) Write(bytes []byte) (int, error) { return len(bytes), nil }
func (d *deaf) WriteHeader(int)                 {}
