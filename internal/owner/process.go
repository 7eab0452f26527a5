package owner

import (
	"fmt"
	"os"
	"os/user"
	"strconv"
	"strings"
)

// Self is the holder that this process is. env reads its environment.
func Self(env func(name string) (value string, set bool)) Holder {
	host, _ := os.Hostname()
	h := Holder{Name: userName() + "@" + host, Link: jobLink(env)}
	if place := procPlace(); place != "" {
		h.Host, h.PID = host+" "+place, os.Getpid()
		h.Started = procStarted(h.PID)
	}
	return h
}

// Alive reports false only for a process of this machine, boot and PID
// namespace that is gone. Elsewhere nobody can know: two containers can share a
// host name.
func Alive(h Holder) bool {
	name, _ := os.Hostname()
	place := procPlace()
	host := name + " " + place
	if place == "" || h.Started == "" || h.Host != host && h.Host != HostTag(host) {
		return true
	}
	return procStarted(h.PID) == h.Started
}

func userName() string {
	if u, err := user.Current(); err == nil {
		return u.Username
	}
	return strconv.Itoa(os.Getuid())
}

// jobLink is the address of the CI job that this program runs in, or "".
func jobLink(env func(name string) (value string, set bool)) string {
	value := func(name string) string { v, _ := env(name); return v }
	if id := value("GITHUB_RUN_ID"); id != "" {
		return value("GITHUB_SERVER_URL") + "/" + value("GITHUB_REPOSITORY") + "/actions/runs/" + id
	}
	for _, name := range []string{"CI_JOB_URL", "BUILD_URL", "BUILDKITE_BUILD_URL"} {
		if url := value(name); url != "" {
			return url
		}
	}
	return ""
}

// procPlace names this boot and PID namespace, or "" where /proc does not tell.
func procPlace() string {
	boot, err := os.ReadFile("/proc/sys/kernel/random/boot_id")
	if err != nil {
		return ""
	}
	pids, err := os.Readlink("/proc/self/ns/pid")
	if err != nil {
		return ""
	}
	return strings.TrimSpace(string(boot)) + " " + pids
}

// procStarted is when a process started, in the kernel's ticks, or "" when there
// is no such process or it has ended and only waits for its parent.
func procStarted(pid int) string {
	stat, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	if err != nil {
		return ""
	}
	// The second field is the program's name in parentheses, which can hold
	// anything; the third is the state and the 22nd the start.
	fields := strings.Fields(string(stat[strings.LastIndexByte(string(stat), ')')+1:]))
	if len(fields) < 20 || fields[0] == "Z" || fields[0] == "X" {
		return ""
	}
	return fields[19]
}
