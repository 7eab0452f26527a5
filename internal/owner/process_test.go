package owner

import (
	"os/exec"
	"runtime"
	"testing"
)

func unset(string) (string, bool) { return "", false }

// A holder is known to be dead only when its process was seen in this very
// place.
func TestAlive(t *testing.T) {
	me := Self(unset)
	if me.Host == "" && runtime.GOOS != "linux" {
		t.Skip("this system does not tell processes apart")
	}
	if !Alive(me) {
		t.Error("this process counts as dead")
	}
	child := exec.CommandContext(t.Context(), "/bin/sleep", "600")
	if err := child.Start(); err != nil {
		t.Fatal(err)
	}
	other := me
	other.PID, other.Started = child.Process.Pid, procStarted(child.Process.Pid)
	if !Alive(other) {
		t.Error("a running process counts as dead")
	}
	child.Process.Kill()
	child.Wait()
	if Alive(other) {
		t.Error("a process that ended counts as alive")
	}
	far := other
	far.Host = "elsewhere"
	if !Alive(far) {
		t.Error("a process of another machine counts as dead")
	}
}

func TestJobLink(t *testing.T) {
	env := map[string]string{"GITHUB_RUN_ID": "7", "GITHUB_SERVER_URL": "https://github.example", "GITHUB_REPOSITORY": "shop/site"}
	got := jobLink(func(k string) (string, bool) { v, ok := env[k]; return v, ok })
	if want := "https://github.example/shop/site/actions/runs/7"; got != want {
		t.Errorf("job link %q, want %q", got, want)
	}
}
