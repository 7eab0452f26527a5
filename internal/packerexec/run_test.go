package packerexec

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"testing"

	"github.com/rogpeppe/go-internal/testscript"
	"github.com/wpbake/wpbake/internal/tier"
)

// TestMain makes this binary a packer of our own for the odd cases.
func TestMain(m *testing.M) {
	testscript.Main(m, map[string]func(){"packer": fakePacker})
}

// fakePacker does what the variable "fake" of its template says.
func fakePacker() {
	say := func(rest string) { fmt.Println("1," + rest) }
	switch os.Getenv("PKR_VAR_fake") {
	case "old":
		say(",version,1.9.4")
	case "another": // program of this name
		fmt.Println("usage: packer dictionary <words")
		os.Exit(2)
	case "hangs":
		select {}
	case "environment":
		for _, one := range os.Environ() {
			say(",ui,say," + strings.ReplaceAll(one, ",", "%!(PACKER_COMMA)"))
		}
	case "key":
		for _, line := range strings.Split(someKey, "\n") {
			say("b,ui,message,    b: " + line)
			fmt.Fprintln(os.Stderr, line)
		}
		say(",ui,error,with " + os.Getenv("AWS_SECRET_ACCESS_KEY"))
		fmt.Println("panic: no event")
		os.Exit(1)
	case "fails":
		say(",ui,error,Build 'b' errored after 3 seconds: oh")
		say("b,error,Script exited with\\n  status 7")
		say("b,error,a later one")
		os.Exit(1)
	case "crashes":
		say(",ui,say,all is well")
		fmt.Fprintln(os.Stderr, "fatal error: concurrent map writes")
		for range 100 {
			fmt.Fprintln(os.Stderr, "\tpacker/main.go:37 +0x13")
		}
		os.Exit(2)
	case "tidy":
		interrupted := make(chan os.Signal, 1)
		signal.Notify(interrupted, os.Interrupt)
		say(",ui,say,ready")
		<-interrupted
		say(",ui,say,cleaned up")
		os.Exit(1)
	case "stubborn":
		signal.Ignore(os.Interrupt)
		child := exec.Command("sh", "-c", "trap '' INT; echo 1,,ui,say,child $$; exec sleep 1000")
		child.Stdout = os.Stdout
		if err := child.Run(); err != nil {
			os.Exit(1)
		}
	default:
		say(",version,1.15.0")
	}
}

// fake is our own packer behaving as told.
func fake(t *testing.T, behaviour string, environ ...string) *Packer {
	t.Helper()
	environ = append([]string{"PATH=" + os.Getenv("PATH")}, environ...)
	p, err := Find(t.Context(), Options{Environ: environ})
	if err != nil {
		t.Fatal(err)
	}
	p.environ = append(p.environ, "PKR_VAR_fake="+behaviour)
	return p
}

func TestFindRefuses(t *testing.T) {
	path := "PATH=" + os.Getenv("PATH")
	for _, c := range []struct {
		options    Options
		want, hint string
	}{
		{Options{Environ: []string{path, "PKR_VAR_fake=old"}}, "is Packer 1.9.4, want 1.15.0 or later", "packer.program"},
		{Options{Environ: []string{path, "PKR_VAR_fake=another"}}, "is no Packer of HashiCorp's", "packer.program"},
		{Options{Environ: []string{"PATH=" + t.TempDir()}}, `finding packer "packer"`, "developer.hashicorp.com"},
		{Options{Environ: []string{"PATH=."}}, `finding packer "packer"`, "developer.hashicorp.com"},
		{Options{Program: "/nowhere/packer"}, `finding packer "/nowhere/packer"`, "packer.program"},
	} {
		_, err := Find(t.Context(), c.options)
		var unsuitable *Unsuitable
		if !errors.As(err, &unsuitable) || !strings.Contains(err.Error(), c.want) || !strings.Contains(unsuitable.Hint(), c.hint) {
			t.Errorf("%v: %v, want %q and a hint with %q", c.options, err, c.want, c.hint)
		}
	}
}

func TestFindDoesNotHang(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	started := make(chan struct{})
	go func() { close(started); cancel() }()
	<-started
	_, err := Find(ctx, Options{Environ: []string{"PATH=" + os.Getenv("PATH"), "PKR_VAR_fake=hangs"}})
	if !errors.Is(err, context.Canceled) {
		t.Errorf("a program that says nothing: %v", err)
	}
}

func TestEnvironmentIsScrubbed(t *testing.T) {
	p := fake(t, "environment", "AWS_MAX_ATTEMPTS=2", "PACKER_LOG=1", "PACKER_LOG_PATH=/x", "GITHUB_TOKEN=x", "AWS_REGION=eu-central-1",
		"AWS_ENDPOINT_URL_S3=http://127.0.0.1:1", "AWS_PROFILE=shop", "PKR_VAR_mine=1", "AWS_RETRY_MODE=adaptive", "SSH_AUTH_SOCK=/x")
	var got []string
	_, err := p.Run(t.Context(), Job{
		Command: "build", Environ: []string{"WPBAKE_BUCKET_OWNER=123456789012"}, Variables: map[string]string{"version": "v42"},
		Progress: func(e Event) {
			text, _, _ := e.Said()
			name, value, _ := strings.Cut(text, "=")
			if name == "TMPDIR" && !strings.Contains(value, "wpbake-packer-") {
				t.Errorf("the log would be written into %s", value)
			}
			got = append(got, name)
		},
	})
	slices.Sort(got)
	// Those of the test's own programs aside.
	got = slices.DeleteFunc(got, func(name string) bool {
		return slices.Contains([]string{"PATH", "TMPDIR", "PWD", "PKR_VAR_fake"}, name)
	})
	want := []string{"AWS_ENDPOINT_URL_S3", "AWS_PROFILE", "AWS_REGION", "CHECKPOINT_DISABLE", "PACKER_NO_COLOR", "PKR_VAR_mine", "PKR_VAR_version", "WPBAKE_BUCKET_OWNER"}
	if err != nil || !slices.Equal(got, want) {
		t.Errorf("packer got %v, %v; want %v", got, err, want)
	}
}

func TestKeysGetNowhere(t *testing.T) {
	p := fake(t, "key", "AWS_SECRET_ACCESS_KEY=wJalrXUtnFEMI/K7")
	var told strings.Builder
	_, err := p.Run(t.Context(), Job{Command: "build", Progress: func(e Event) { fmt.Fprintln(&told, e.Data) }})
	var failed *Failed
	if !errors.As(err, &failed) || failed.Status != 1 {
		t.Fatalf("got %v", err)
	}
	all := told.String() + err.Error() + strings.Join(failed.Said, "\n")
	for _, secret := range []string{"MIIEpAIBAAKCAQEA", "q83vEjRWeJA=", "wJalrXUtnFEMI/K7"} {
		if strings.Contains(all, secret) {
			t.Errorf("%q is in:\n%s", secret, all)
		}
	}
	if !strings.Contains(all, withheld) {
		t.Errorf("nothing was withheld from:\n%s", all)
	}
}

func TestFailureIsOneLine(t *testing.T) {
	_, err := fake(t, "fails").Run(t.Context(), Job{Command: "build"})
	if want := "running packer build: Script exited with status 7"; err == nil || err.Error() != want {
		t.Errorf("got %v, want %s", err, want)
	}
}

func TestACrashIsNamed(t *testing.T) {
	_, err := fake(t, "crashes").Run(t.Context(), Job{Command: "build"})
	if want := "running packer build: packer crashed: fatal error: concurrent map writes"; err == nil || err.Error() != want {
		t.Errorf("got %v, want %s", err, want)
	}
}

func TestInterruptIsHandedOn(t *testing.T) {
	ctx, cancel := context.WithCancelCause(t.Context())
	var told []string
	stop := errors.New("enough")
	_, err := fake(t, "tidy").Run(ctx, Job{Command: "build", Progress: func(e Event) {
		text, _, _ := e.Said()
		if told = append(told, text); text == "ready" {
			cancel(stop)
		}
	}})
	if !errors.Is(err, stop) || !slices.Equal(told, []string{"ready", "cleaned up"}) {
		t.Errorf("told %q, %v: an interrupted build was not waited for", told, err)
	}
}

func TestForceEndsTheWholeGroup(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	force := make(chan struct{})
	child := 0
	_, err := fake(t, "stubborn").Run(ctx, Job{Command: "build", Force: force, Progress: func(e Event) {
		text, _, _ := e.Said()
		if pid, ok := strings.CutPrefix(text, "child "); ok {
			child, _ = strconv.Atoi(pid)
			cancel()
			close(force)
		}
	}})
	if !errors.Is(err, context.Canceled) || child == 0 {
		t.Fatalf("child %d, %v", child, err)
	}
	if stat, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", child)); err == nil && !strings.Contains(string(stat), ") Z ") {
		t.Errorf("what packer started still runs: %s", stat)
		_ = syscall.Kill(child, syscall.SIGKILL)
	}
}

// real is the real Packer with a home of its own.
func real(t *testing.T) *Packer {
	t.Helper()
	program, err := filepath.Abs("../../bin/tools/packer")
	if err == nil {
		_, err = os.Stat(program)
	}
	tier.Need(t, "packer", err == nil)
	dir := t.TempDir()
	p, err := Find(t.Context(), Options{Program: program, Environ: []string{
		"PATH=" + os.Getenv("PATH"), "HOME=" + dir, "PACKER_PLUGIN_PATH=" + dir + "/plugins", "PACKER_CONFIG_DIR=" + dir,
	}})
	if err != nil {
		t.Fatal(err)
	}
	return p
}

func TestRealPlugins(t *testing.T) {
	tier.Test(t)
	p := real(t)
	err := p.Require(t.Context(), Plugin{"github.com/hashicorp/amazon", "1.8.0"})
	var unsuitable *Unsuitable
	if !errors.As(err, &unsuitable) || unsuitable.Hint() != "packer plugins install github.com/hashicorp/amazon 1.8.0" {
		t.Fatalf("no plugin: %v", err)
	}
	install := exec.CommandContext(t.Context(), p.Program, "plugins", "install", "--path", "../../bin/tools/packer-plugin-amazon", "github.com/hashicorp/amazon")
	install.Env = p.environ
	if out, err := install.CombinedOutput(); err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	if err := p.Require(t.Context(), Plugin{"github.com/hashicorp/amazon", "1.8.0"}); err != nil {
		t.Error(err)
	}
	if err := p.Require(t.Context(), Plugin{"github.com/hashicorp/amazon", "1.8.1"}); err == nil || !strings.Contains(err.Error(), "is 1.8.0, want 1.8.1") {
		t.Errorf("an older plugin: %v", err)
	}
}

// template writes a build of a file with a script on this machine.
func template(t *testing.T, script string) string {
	t.Helper()
	dir := t.TempDir()
	file := filepath.Join(dir, "t.pkr.hcl")
	text := fmt.Sprintf("variable \"to\" {\n  type = string\n}\nsource \"file\" \"one\" {\n  content = \"x\"\n  target  = var.to\n}\n"+
		"build {\n  sources = [\"source.file.one\"]\n  provisioner \"shell-local\" {\n    inline = [%q]\n  }\n}\n", script)
	if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	return file
}

func TestRealBuild(t *testing.T) {
	tier.Test(t)
	p := real(t)
	to := filepath.Join(t.TempDir(), "made")
	var said []string
	job := Job{
		Command: "build", Template: template(t, "printf 'one, two\\n'"), Variables: map[string]string{"to": to, "nobodys": "x"},
		Progress: func(e Event) {
			if text, _, ok := e.Said(); ok {
				said = append(said, text)
			}
		},
	}
	made, err := p.Run(t.Context(), job)
	if err != nil || len(made) != 1 || made[0].Build != "file.one" || made[0].Builder != "packer.file" {
		t.Fatalf("made %+v, %v", made, err)
	}
	if !slices.ContainsFunc(said, func(text string) bool { return strings.HasSuffix(text, "file.one: one, two") }) {
		t.Errorf("the script's words are not in %q", said)
	}
	job.Template = template(t, "exit 7")
	_, err = p.Run(t.Context(), job)
	if err == nil || !strings.Contains(err.Error(), "exit status: 7") || strings.Contains(err.Error(), "\n") {
		t.Errorf("a script that fails: %v", err)
	}
	job.Command, job.Variables = "validate", nil
	if _, err = p.Run(t.Context(), job); err == nil || !strings.Contains(err.Error(), "to") {
		t.Errorf("a template that lacks a variable: %v", err)
	}
}

func TestRealInterrupt(t *testing.T) {
	tier.Test(t)
	p := real(t)
	ctx, cancel := context.WithCancel(t.Context())
	to := filepath.Join(t.TempDir(), "made")
	last := ""
	_, err := p.Run(ctx, Job{
		Command: "build", Template: template(t, "echo ready; exec sleep 1000"), Variables: map[string]string{"to": to},
		Progress: func(e Event) {
			if text, _, ok := e.Said(); ok {
				if last = text; strings.HasSuffix(text, ": ready") {
					cancel()
				}
			}
		},
	})
	if !errors.Is(err, context.Canceled) || !strings.Contains(last, "Cleanly cancelled builds") {
		t.Errorf("packer ended with %q, %v", last, err)
	}
}

func TestLongLines(t *testing.T) {
	var got []int
	eachLine(bufio.NewReader(strings.NewReader(strings.Repeat("x", 2*maxLine)+"\nshort\nlast")), func(line string) { got = append(got, len(line)) })
	if len(got) != 3 || got[0] > maxLine || got[1] != 5 || got[2] != 4 {
		t.Errorf("lines of %v bytes", got)
	}
}
