package main

import (
	"context"
	"encoding/json"
	"net/http"
	"sync"
	"time"

	core "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/resource"
	meta "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/kubernetes"
)

// A machine that exists as an object only.
type machine struct {
	Name     string            `json:"name"`
	Labels   map[string]string `json:"labels"`
	Capacity map[string]string `json:"capacity"`
}

// What becomes of the pods of a namespace: "ready" (as where nothing is said), "fail" or "never".
type fate struct {
	Namespace string `json:"namespace"`
	Fate      string `json:"fate"`
}

// Plays every machine: pods that are bound become what their namespace's fate says, pods that are to go are gone.
type kubelet struct {
	client *kubernetes.Clientset
	mutex  sync.Mutex
	fates  map[string]string
}

func newKubelet(client *kubernetes.Clientset) *kubelet {
	return &kubelet{client: client, fates: map[string]string{}}
}

// Looks at every pod again and again; a list is answered from memory.
func (k *kubelet) run() {
	for ; ; time.Sleep(150 * time.Millisecond) {
		pods, err := k.client.CoreV1().Pods("").List(context.Background(), meta.ListOptions{ResourceVersion: "0"})
		if err != nil {
			continue
		}
		slots := make(chan struct{}, 16)
		var all sync.WaitGroup
		for index := range pods.Items {
			pod := &pods.Items[index]
			if pod.Spec.NodeName == "" {
				continue
			}
			all.Add(1)
			slots <- struct{}{}
			go func() {
				defer func() { <-slots; all.Done() }()
				k.look(pod)
			}()
		}
		all.Wait()
	}
}

func (k *kubelet) look(pod *core.Pod) {
	pods := k.client.CoreV1().Pods(pod.Namespace)
	if pod.DeletionTimestamp != nil {
		now := int64(0)
		_ = pods.Delete(context.Background(), pod.Name, meta.DeleteOptions{GracePeriodSeconds: &now})
		return
	}
	k.mutex.Lock()
	wanted := k.fates[pod.Namespace]
	k.mutex.Unlock()
	if wanted == "" {
		wanted = "ready"
	}
	if wanted == "never" || state(pod) == wanted {
		return
	}
	status := core.PodStatus{Phase: core.PodRunning}
	ready := core.ConditionTrue
	if wanted == "fail" {
		ready = core.ConditionFalse
	}
	for _, container := range pod.Spec.Containers {
		one := core.ContainerStatus{Name: container.Name, Image: container.Image, ImageID: container.Image}
		if wanted == "fail" {
			status.Phase = core.PodPending
			one.State.Waiting = &core.ContainerStateWaiting{
				Reason: "ImagePullBackOff", Message: "Back-off pulling image " + container.Image,
			}
		} else {
			one.Ready, one.Started = true, &one.Ready
			one.State.Running = &core.ContainerStateRunning{StartedAt: meta.Now()}
		}
		status.ContainerStatuses = append(status.ContainerStatuses, one)
	}
	for _, kind := range []core.PodConditionType{core.ContainersReady, core.PodReady} {
		status.Conditions = append(status.Conditions, core.PodCondition{Type: kind, Status: ready, LastTransitionTime: meta.Now()})
	}
	patch, err := json.Marshal(map[string]any{"status": status})
	if err == nil {
		_, _ = pods.Patch(context.Background(), pod.Name, types.StrategicMergePatchType, patch, meta.PatchOptions{}, "status")
	}
}

func state(pod *core.Pod) string {
	for _, container := range pod.Status.ContainerStatuses {
		if container.State.Waiting != nil {
			return "fail"
		}
	}
	if pod.Status.Phase == core.PodRunning {
		return "ready"
	}
	return ""
}

// Sets what becomes of the pods of a namespace.
func (c *control) pods(answer http.ResponseWriter, request *http.Request) {
	var wanted fate
	if err := json.NewDecoder(request.Body).Decode(&wanted); err != nil {
		http.Error(answer, err.Error(), http.StatusBadRequest)
		return
	}
	c.kubelet.mutex.Lock()
	defer c.kubelet.mutex.Unlock()
	c.kubelet.fates[wanted.Namespace] = wanted.Fate
}

// Sets all machines: those named are there and Ready, no other is.
func (c *control) machines(answer http.ResponseWriter, request *http.Request) {
	var wanted []machine
	if err := json.NewDecoder(request.Body).Decode(&wanted); err != nil {
		http.Error(answer, err.Error(), http.StatusBadRequest)
		return
	}
	nodes := c.kubelet.client.CoreV1().Nodes()
	ctx := context.Background()
	if err := nodes.DeleteCollection(ctx, meta.DeleteOptions{}, meta.ListOptions{}); err != nil {
		http.Error(answer, err.Error(), http.StatusInternalServerError)
		return
	}
	for _, one := range wanted {
		if _, err := nodes.Create(ctx, one.node(), meta.CreateOptions{}); err != nil {
			http.Error(answer, err.Error(), http.StatusInternalServerError)
			return
		}
	}
}

func (m machine) node() *core.Node {
	labels := map[string]string{"kubernetes.io/hostname": m.Name}
	for key, value := range m.Labels {
		labels[key] = value
	}
	capacity := core.ResourceList{"pods": resource.MustParse("250"), "ephemeral-storage": resource.MustParse("100Ti")}
	for key, value := range m.Capacity {
		capacity[core.ResourceName(key)] = resource.MustParse(value)
	}
	return &core.Node{
		ObjectMeta: meta.ObjectMeta{Name: m.Name, Labels: labels},
		Status: core.NodeStatus{
			Capacity: capacity, Allocatable: capacity,
			Conditions: []core.NodeCondition{{Type: core.NodeReady, Status: core.ConditionTrue, LastHeartbeatTime: meta.Now()}},
		},
	}
}
