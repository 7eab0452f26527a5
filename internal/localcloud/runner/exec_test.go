//go:build linux

package runner_test

import (
	"bytes"
	"testing"

	"github.com/wpbake/wpbake/internal/localcloud/ec2"
	"github.com/wpbake/wpbake/internal/localcloud/runner"
)

// A command sees the machine's disk, environment and processes.
func TestExec(t *testing.T) {
	eachKind(t, func(t *testing.T, r *runner.Runner) {
		p := start(t, r, ec2.Machine{ID: "i-exec", Address: "127.0.0.7", UserData: []byte("#!/bin/sh\necho mine >\"$INSTANCE_ROOT/etc/mine\"\necho done\n")})
		eventually(t, "user data", func() bool { return bytes.Contains(p.Console(), []byte("done")) })
		var stdout, stderr bytes.Buffer
		code, err := p.(ec2.Executor).Exec(t.Context(), `cat "$INSTANCE_ROOT/etc/mine"; echo $INSTANCE_ID >&2; exit 3`, &stdout, &stderr)
		if err != nil || code != 3 || stdout.String() != "mine\n" || stderr.String() != "i-exec\n" {
			t.Errorf("code %d, %v, stdout %q, stderr %q", code, err, stdout.String(), stderr.String())
		}
		if r.Kind() != runner.Overlay {
			return
		}
		stdout.Reset()
		if code, err := p.(ec2.Executor).Exec(t.Context(), `cat /proc/1/cmdline`, &stdout, &stderr); err != nil || code != 0 || !bytes.Contains(stdout.Bytes(), []byte("boot.sh")) {
			t.Errorf("process 1 is %q, %d, %v", stdout.String(), code, err)
		}
	})
}

// A machine powers itself off by the signal at which systemd does, and can be
// told from one that was killed.
func TestPowerOff(t *testing.T) {
	eachKind(t, func(t *testing.T, r *runner.Runner) {
		p := start(t, r, ec2.Machine{ID: "i-off", Address: "127.0.0.7", UserData: []byte("#!/bin/sh\n(kill -s RTMIN+4 \"$INSTANCE_INIT\") &\n")})
		eventually(t, "the end", func() bool { return ended(p) })
		if !p.(ec2.PoweredOff).PoweredOff() {
			t.Error("it did not power itself off")
		}
		p = start(t, r, ec2.Machine{ID: "i-killed", Address: "127.0.0.7"})
		if p.(ec2.PoweredOff).PoweredOff() {
			t.Error("a machine that runs has powered itself off")
		}
		if err := p.Kill(); err != nil {
			t.Fatal(err)
		}
		eventually(t, "the end", func() bool { return ended(p) })
		if p.(ec2.PoweredOff).PoweredOff() {
			t.Error("a machine that was killed has powered itself off")
		}
	})
}

func ended(p ec2.Process) bool {
	select {
	case <-p.Done():
		return true
	default:
		return false
	}
}
