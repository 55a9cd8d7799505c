package main

import (
	"encoding/json"
	"encoding/pem"
	"io"
	"net/http"
	"net/http/httptest"

	admission "k8s.io/api/admission/v1"
	meta "k8s.io/apimachinery/pkg/apis/meta/v1"
)

// Opens an admission webhook that refuses everything with a message, and says where it is and whom to trust.
func (c *control) webhook(answer http.ResponseWriter, request *http.Request) {
	message, err := io.ReadAll(request.Body)
	if err != nil {
		http.Error(answer, err.Error(), http.StatusBadRequest)
		return
	}
	server := httptest.NewTLSServer(http.HandlerFunc(func(answer http.ResponseWriter, request *http.Request) {
		var review admission.AdmissionReview
		if err := json.NewDecoder(request.Body).Decode(&review); err != nil || review.Request == nil {
			http.Error(answer, "no review", http.StatusBadRequest)
			return
		}
		review.Response = &admission.AdmissionResponse{
			UID: review.Request.UID, Result: &meta.Status{Message: string(message), Code: http.StatusForbidden},
		}
		_ = json.NewEncoder(answer).Encode(review)
	}))
	authority := pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: server.Certificate().Raw})
	_ = json.NewEncoder(answer).Encode(map[string]any{"url": server.URL, "authority": authority})
}
