//go:build linux

package runner_test

import (
	"archive/tar"
	"bytes"
	"context"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/wpbake/wpbake/internal/localcloud/ec2"
	"github.com/wpbake/wpbake/internal/localcloud/runner"
)

// in runs a command in a machine and returns what it printed.
func in(t *testing.T, p ec2.Process, line string) string {
	t.Helper()
	var out bytes.Buffer
	status, err := p.(ec2.Commander).Command(t.Context(), ec2.Command{Line: line, Stdout: &out, Stderr: &out})
	if err != nil || status != 0 {
		t.Fatalf("%s: status %d, %v: %s", line, status, err, out.String())
	}
	return out.String()
}

func TestCommands(t *testing.T) {
	eachKind(t, func(t *testing.T, r *runner.Runner) {
		p := start(t, r, ec2.Machine{ID: "i-command", Address: "127.77.0.20", Environ: []string{"EXTRA=more"}})
		if got := in(t, p, `echo "$INSTANCE_ID $EXTRA"`); got != "i-command more\n" {
			t.Errorf("printed %q", got)
		}
		var out bytes.Buffer
		status, err := p.(ec2.Commander).Command(t.Context(), ec2.Command{
			Line: `read line; echo "$line $GIVEN"; exit 5`, Environ: []string{"GIVEN=too"}, Stdin: strings.NewReader("sent\n"), Stdout: &out, Stderr: &out,
		})
		if err != nil || status != 5 || out.String() != "sent too\n" {
			t.Errorf("status %d, %v, printed %q", status, err, out.String())
		}
		ctx, cancel := context.WithCancel(t.Context())
		reading, writing := io.Pipe()
		ended := make(chan int)
		go func() {
			status, _ := p.(ec2.Commander).Command(ctx, ec2.Command{Line: "echo started; sleep 1000 & sleep 1001", Stdout: writing, Stderr: writing})
			ended <- status
		}()
		if _, err := reading.Read(make([]byte, 7)); err != nil {
			t.Fatal(err)
		}
		go func() { _, _ = io.Copy(io.Discard, reading) }()
		cancel()
		if status := <-ended; status != 128+9 {
			t.Errorf("a command that was ended has status %d", status)
		}
		if r.Kind() == runner.Overlay {
			eventually(t, "the end of what it started", func() bool { return !strings.Contains(in(t, p, "ps -e -o args"), "sleep 1000") })
		}
		if err := p.Kill(); err != nil {
			t.Fatal(err)
		}
		if _, err := p.(ec2.Commander).Command(t.Context(), ec2.Command{Line: "true"}); err == nil {
			t.Error("a machine that has ended runs commands")
		}
	})
}

// image is a machine's disk as an archive.
func image(t *testing.T, r *runner.Runner, m ec2.Machine) []byte {
	t.Helper()
	var archive bytes.Buffer
	if err := r.Capture(t.Context(), m, &archive); err != nil {
		t.Fatal(err)
	}
	return archive.Bytes()
}

func TestImages(t *testing.T) {
	eachKind(t, func(t *testing.T, r *runner.Runner) {
		m := ec2.Machine{ID: "i-original", Address: "127.77.0.21", Dir: t.TempDir()}
		p := start(t, r, m)
		in(t, p, `cd "$INSTANCE_ROOT/srv" && mkdir -p site/sub && echo content >site/file && chmod 640 site/file && touch -d 2020-02-02T02:02:02Z site/file
			ln site/file site/other && ln -s file site/link && chmod 0711 site/sub && touch -d 2021-01-01T00:00:00Z site/sub`)
		if r.Kind() == runner.Overlay {
			in(t, p, "rm /etc/hostname; rm -r /etc/default && mkdir /etc/default && echo mine >/etc/default/mine; touch /tmp/gone /run/gone")
		}
		if err := p.Stop(t.Context()); err != nil {
			t.Fatal(err)
		}
		archive := image(t, r, m)
		if !bytes.Equal(archive, image(t, r, m)) {
			t.Error("the disk of a machine that is off is read twice with different results")
		}
		child := ec2.Machine{ID: "i-copy", Address: "127.77.0.22", Dir: t.TempDir(), Root: bytes.NewReader(archive)}
		c := start(t, r, child)
		got := in(t, c, `cd "$INSTANCE_ROOT/srv/site" && cat link && stat -c '%n %a %Y %h' file sub && [ file -ef other ] && echo linked`)
		if want := "content\nfile 640 1580608922 2\nsub 711 1609459200 2\nlinked\n"; got != want {
			t.Errorf("the copy has\n%s, want\n%s", got, want)
		}
		if r.Kind() == runner.Overlay {
			if got := in(t, c, "ls /etc/hostname 2>/dev/null; ls /etc/default; ls /tmp /run | grep gone; true"); got != "mine\n" {
				t.Errorf("deleted and volatile files in the copy: %q", got)
			}
		}
		in(t, c, `echo changed >"$INSTANCE_ROOT/srv/site/file"`)
		if err := c.Kill(); err != nil {
			t.Fatal(err)
		}
		child.Root = bytes.NewReader(archive)
		if got := in(t, start(t, r, child), `cat "$INSTANCE_ROOT/srv/site/file"`); got != "changed\n" {
			t.Errorf("at its second start the copy has %q", got)
		}
	})
}

func TestImagesThatAreNone(t *testing.T) {
	eachKind(t, func(t *testing.T, r *runner.Runner) {
		outside := filepath.Join(t.TempDir(), "outside")
		hostile := func(write func(w *tar.Writer) error) []byte {
			var archive bytes.Buffer
			w := tar.NewWriter(&archive)
			if err := write(w); err != nil {
				t.Fatal(err)
			}
			if err := w.Close(); err != nil {
				t.Fatal(err)
			}
			return archive.Bytes()
		}
		for name, archive := range map[string][]byte{
			"no archive": bytes.Repeat([]byte("x"), 4096),
			"a way out":  hostile(func(w *tar.Writer) error { return w.WriteHeader(&tar.Header{Name: "../../x", Typeflag: tar.TypeDir}) }),
			"a link out": hostile(func(w *tar.Writer) error {
				if err := w.WriteHeader(&tar.Header{Name: "out", Typeflag: tar.TypeSymlink, Linkname: filepath.Dir(outside)}); err != nil {
					return err
				}
				return w.WriteHeader(&tar.Header{Name: "out/outside", Typeflag: tar.TypeReg})
			}),
		} {
			_, err := r.Start(t.Context(), ec2.Machine{ID: "i-bad", Address: "127.77.0.23", Dir: t.TempDir(), Root: bytes.NewReader(archive)})
			if err == nil || !strings.Contains(err.Error(), "unpacking image") {
				t.Errorf("%s: %v", name, err)
			}
		}
		if _, err := os.Lstat(outside); err == nil {
			t.Error("an image wrote outside of its machine")
		}
	})
}

// volume makes a file that looks like an EROFS file system with this UUID.
func volume(t *testing.T, dir, name string) ec2.Disk {
	t.Helper()
	content := make([]byte, 8192)
	copy(content[1024:], "\xe2\xe1\xf5\xe0")
	copy(content[1024+48:], "0123456789abcdef")
	disk := ec2.Disk{Volume: name, Device: "/dev/sdf", Path: filepath.Join(dir, name)}
	if err := os.WriteFile(disk.Path, content, 0o600); err != nil {
		t.Fatal(err)
	}
	return disk
}

func TestVolumes(t *testing.T) {
	eachKind(t, func(t *testing.T, r *runner.Runner) {
		dir := t.TempDir()
		at := func(id string) string {
			const root = `"$INSTANCE_ROOT"`
			return root + "/dev/disk/" + id
		}
		const uuid = "by-uuid/30313233-3435-3637-3839-616263646566"
		p := start(t, r, ec2.Machine{ID: "i-volumes", Address: "127.77.0.24", Dir: filepath.Join(dir, "machine"), Disks: []ec2.Disk{volume(t, dir, "vol-1")}})
		if got := in(t, p, "wc -c <"+at(uuid)+"; ls "+at("by-id")); strings.TrimSpace(got) != "8192\nnvme-Amazon_Elastic_Block_Store_vol1" {
			t.Errorf("the machine sees %q", got)
		}
		in(t, p, "echo written | dd conv=notrunc status=none of="+at(uuid))
		if content, err := os.ReadFile(filepath.Join(dir, "vol-1")); err != nil || string(content[:8]) != "written\n" || len(content) != 8192 {
			t.Errorf("the volume has %q after the machine wrote on it", content[:8])
		}
		second := volume(t, dir, "vol-2")
		if err := p.(ec2.Plugger).Plug(second); err != nil {
			t.Fatal(err)
		}
		if got := in(t, p, "ls "+at("by-id")+" | wc -l"); strings.TrimSpace(got) != "2" {
			t.Errorf("with a second volume the machine sees %s", got)
		}
		if err := p.(ec2.Plugger).Unplug(ec2.Disk{Volume: "vol-1"}); err != nil {
			t.Fatal(err)
		}
		if got := in(t, p, "ls "+at("by-id")+"; ls "+at("by-uuid")); got != "nvme-Amazon_Elastic_Block_Store_vol2\n" {
			t.Errorf("without its first volume the machine sees %q", got)
		}
	})
}

func TestCaptureWhileItRuns(t *testing.T) {
	eachKind(t, func(t *testing.T, r *runner.Runner) {
		m := ec2.Machine{ID: "i-busy", Address: "127.77.0.25", Dir: t.TempDir()}
		p := start(t, r, m)
		ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
		defer cancel()
		go func() {
			_, _ = p.(ec2.Commander).Command(ctx, ec2.Command{Line: `cd "$INSTANCE_ROOT/srv" && while :; do seq 20000 >a; mv a b; : >b; rm b; done`})
		}()
		for range 5 {
			archive := image(t, r, m)
			for in := tar.NewReader(bytes.NewReader(archive)); ; {
				_, err := in.Next()
				if err == io.EOF {
					break
				}
				if err != nil {
					t.Fatal(err)
				}
			}
		}
	})
}
