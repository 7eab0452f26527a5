package main

import (
	"os"
	"os/exec"
	"runtime"
	"strings"
	"syscall"
	"testing"
)

// TestMain lets this binary be the small process that measures.
func TestMain(m *testing.M) {
	if len(os.Args) > 1 && os.Args[1] == measuring {
		os.Exit(measureChild(os.Args[2:]))
	}
	os.Exit(m.Run())
}

const mib = 1 << 20

// A short process is not as large as who measures it, a large one is as large
// as it is, and so is the child of a small one.
func TestMemoryIsThatOfTheCommand(t *testing.T) {
	ballast := make([]byte, 200*mib)
	for i := 0; i < len(ballast); i += 4096 {
		ballast[i] = 1
	}
	direct := exec.Command("/bin/true")
	if err := direct.Run(); err != nil {
		t.Fatal(err)
	}
	if usage := direct.ProcessState.SysUsage().(*syscall.Rusage); usage.Maxrss<<10 < 150*mib {
		t.Logf("started from here /bin/true has %d MiB: this kernel does not pass a parent's memory on", usage.Maxrss>>10)
	}
	const large = `head -c 120000000 /dev/zero | tail -c 110000000 | wc -c`
	for _, tt := range []struct {
		name        string
		argv        []string
		least, most int64
	}{
		{"short", []string{"/bin/true"}, 1, 40 * mib},
		{"large", []string{"sh", "-c", large}, 100 * mib, 160 * mib},
	} {
		s, err := env{}.spend(t.Context(), tt.argv)
		if err != nil {
			t.Fatal(err)
		}
		t.Logf("%s: %d MiB", tt.name, s.Memory/mib)
		if s.Memory < tt.least || s.Memory > tt.most {
			t.Errorf("%s: %d MiB, want %d to %d", tt.name, s.Memory/mib, tt.least/mib, tt.most/mib)
		}
	}
	runtime.KeepAlive(ballast)
}

func TestSpendTellsHowACommandEnded(t *testing.T) {
	s, err := env{"WORD=spoken"}.spend(t.Context(), []string{"sh", "-c", `echo $WORD`})
	if err != nil || string(s.printed) != "spoken\n" || s.Seconds <= 0 {
		t.Errorf("%+v, %v", s, err)
	}
	for want, argv := range map[string][]string{
		"exit status 7":            {"sh", "-c", "echo why >&2; exit 7"},
		"no such file":             {"/no/such/program"},
		"signal: user defined sig": {"sh", "-c", "kill -USR1 $$"},
	} {
		if _, err := (env{}).spend(t.Context(), argv); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%v: %v, want %q", argv, err, want)
		}
	}
}
