//go:build assets

package main

// All four programs lie in KUBEBUILDER_ASSETS; none is in this binary.
func embedded(string) {}
