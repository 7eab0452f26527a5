package main

import (
	"context"
	"os"
	"os/exec"
	"runtime"
	"strconv"
	"strings"
)

// machine is where it was measured.
type machine struct {
	CPU        string `json:"cpu"`
	Processors int    `json:"processors"`
	Memory     int64  `json:"memory_bytes"`
	Kernel     string `json:"kernel"`
	FileSystem string `json:"file_system"`
	Tools      string `json:"tools"`
	LoadBefore string `json:"load_before"` // average of the minute before
	LoadAfter  string `json:"load_after"`
}

func describeMachine(ctx context.Context, dir string) machine {
	m := machine{Processors: runtime.GOMAXPROCS(0), LoadBefore: load()}
	m.CPU = field("/proc/cpuinfo", "model name")
	kib, _ := strconv.ParseInt(strings.TrimSuffix(field("/proc/meminfo", "MemTotal"), " kB"), 10, 64)
	m.Memory = kib << 10
	m.Kernel = said(ctx, "uname", "-r")
	if err := os.MkdirAll(dir, 0o755); err == nil {
		m.FileSystem = said(ctx, "findmnt", "-n", "-o", "FSTYPE", "-T", dir)
	}
	tar, _, _ := strings.Cut(said(ctx, "tar", "--version"), "\n")
	m.Tools = tar + ", " + strings.Trim(said(ctx, "zstd", "--version"), "* ")
	return m
}

// field returns the first value of a key in a file of "key : value" lines.
func field(name, key string) string {
	b, err := os.ReadFile(name)
	if err != nil {
		return ""
	}
	for line := range strings.Lines(string(b)) {
		if k, v, ok := strings.Cut(line, ":"); ok && strings.TrimSpace(k) == key {
			return strings.TrimSpace(v)
		}
	}
	return ""
}

func load() string {
	b, err := os.ReadFile("/proc/loadavg")
	if err != nil {
		return ""
	}
	first, _, _ := strings.Cut(string(b), " ")
	return first
}

// said is what a command prints; a command that fails says nothing.
func said(ctx context.Context, name string, args ...string) string {
	out, err := exec.CommandContext(ctx, name, args...).Output()
	if err != nil {
		return ""
	}
	return strings.TrimSpace(string(out))
}
