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
