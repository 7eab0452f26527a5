package main

import (
	"bytes"
	"os"
	"testing"
)

func TestTheCommittedTableIsCurrent(t *testing.T) {
	want, err := generate()
	if err != nil {
		t.Fatal(err)
	}
	got, err := os.ReadFile("../ec2_names.go")
	if err != nil {
		t.Fatal(err)
	}
	if !bytes.Equal(got, want) {
		t.Error("ec2_names.go is of another SDK or other operations: go generate ./internal/wire")
	}
}
