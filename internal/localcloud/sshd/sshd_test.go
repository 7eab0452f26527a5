package sshd

import (
	"bytes"
	"context"
	"crypto/ed25519"
	"crypto/rand"
	"errors"
	"io"
	"net"
	"os/exec"
	"strconv"
	"strings"
	"testing"

	"golang.org/x/crypto/ssh"

	"github.com/wpbake/wpbake/internal/localcloud/ec2"
)

// host runs commands on this very machine.
type host struct{ ended chan error }

func (h host) Command(ctx context.Context, c ec2.Command) (int, error) {
	if c.Line == "wait" {
		<-ctx.Done()
		h.ended <- ctx.Err()
		return 137, nil
	}
	cmd := exec.CommandContext(ctx, "/bin/sh", "-c", c.Line)
	cmd.Env, cmd.Stdin, cmd.Stdout, cmd.Stderr = c.Environ, c.Stdin, c.Stdout, c.Stderr
	err := cmd.Run()
	var exit *exec.ExitError
	if errors.As(err, &exit) {
		return exit.ExitCode(), nil
	}
	return 0, err
}

func freePort(t *testing.T) int {
	t.Helper()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer listener.Close()
	return listener.Addr().(*net.TCPAddr).Port
}

func newKey(t *testing.T) ssh.Signer {
	t.Helper()
	_, private, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	signer, err := ssh.NewSignerFromKey(private)
	if err != nil {
		t.Fatal(err)
	}
	return signer
}

// open serves one machine and returns how to dial it with a key.
func open(t *testing.T, key ssh.Signer, h host) (dial func(ssh.Signer) (*ssh.Client, error), server io.Closer) {
	t.Helper()
	port := freePort(t)
	login := ec2.Login{InstanceID: "i-1", Address: "127.0.0.1", Key: string(ssh.MarshalAuthorizedKey(key.PublicKey()))}
	server, err := New(Options{Port: port, Secret: "secret"}).Serve(login, h)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = server.Close() })
	return func(with ssh.Signer) (*ssh.Client, error) {
		return ssh.Dial("tcp", net.JoinHostPort("127.0.0.1", strconv.Itoa(port)), &ssh.ClientConfig{
			User: "admin", Auth: []ssh.AuthMethod{ssh.PublicKeys(with)}, HostKeyCallback: ssh.InsecureIgnoreHostKey(),
		})
	}, server
}

func TestCommands(t *testing.T) {
	key := newKey(t)
	dial, _ := open(t, key, host{})
	client, err := dial(key)
	if err != nil {
		t.Fatal(err)
	}
	defer client.Close()
	session, err := client.NewSession()
	if err != nil {
		t.Fatal(err)
	}
	var out, bad bytes.Buffer
	session.Stdin, session.Stdout, session.Stderr = strings.NewReader("given\n"), &out, &bad
	if err := session.Setenv("GREETING", "hello"); err != nil {
		t.Fatal(err)
	}
	err = session.Run(`read line; echo "$GREETING $line"; echo wrong >&2; exit 7`)
	var exit *ssh.ExitError
	if !errors.As(err, &exit) || exit.ExitStatus() != 7 || out.String() != "hello given\n" || bad.String() != "wrong\n" {
		t.Errorf("got %v, %q, %q", err, out.String(), bad.String())
	}
	if _, err := client.Dial("tcp", "127.0.0.1:1"); err == nil {
		t.Error("a tunnel was opened")
	}
}

func TestAnotherKey(t *testing.T) {
	dial, _ := open(t, newKey(t), host{})
	if _, err := dial(newKey(t)); err == nil {
		t.Fatal("somebody else was let in")
	}
}

func TestTheEndOfAConnectionEndsItsCommands(t *testing.T) {
	for name, end := range map[string]func(*ssh.Client, io.Closer) error{
		"client": func(client *ssh.Client, _ io.Closer) error { return client.Close() },
		"server": func(_ *ssh.Client, server io.Closer) error { return server.Close() },
	} {
		t.Run(name, func(t *testing.T) {
			key, h := newKey(t), host{make(chan error, 1)}
			dial, server := open(t, key, h)
			client, err := dial(key)
			if err != nil {
				t.Fatal(err)
			}
			session, err := client.NewSession()
			if err != nil {
				t.Fatal(err)
			}
			if err := session.Start("wait"); err != nil {
				t.Fatal(err)
			}
			if err := end(client, server); err != nil {
				t.Fatal(err)
			}
			if err := <-h.ended; !errors.Is(err, context.Canceled) {
				t.Error(err)
			}
		})
	}
}

func TestHostKeysStayAndDiffer(t *testing.T) {
	fingerprint := func(secret, id string) string {
		login := ec2.Login{InstanceID: id, Address: "127.0.0.1", Key: string(ssh.MarshalAuthorizedKey(newKey(t).PublicKey()))}
		port := freePort(t)
		server, err := New(Options{Port: port, Secret: secret}).Serve(login, host{})
		if err != nil {
			t.Fatal(err)
		}
		defer server.Close()
		seen := ""
		_, err = ssh.Dial("tcp", net.JoinHostPort("127.0.0.1", strconv.Itoa(port)), &ssh.ClientConfig{
			User: "admin", HostKeyCallback: func(_ string, _ net.Addr, key ssh.PublicKey) error {
				seen = ssh.FingerprintSHA256(key)
				return errors.New("seen")
			},
		})
		if err == nil || seen == "" {
			t.Fatal("no host key")
		}
		return seen
	}
	first := fingerprint("secret", "i-1")
	if fingerprint("secret", "i-1") != first || fingerprint("secret", "i-2") == first || fingerprint("other", "i-1") == first {
		t.Error("host keys must follow from secret and instance")
	}
}
