// Package sshd lets people and programs into instances by ssh: one server on
// each instance's own address, which accepts the key that the instance was
// launched with. It knows the protocol; how a command gets into a machine, the
// machine knows.
package sshd

import (
	"bytes"
	"context"
	"crypto/ed25519"
	"crypto/hmac"
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"strconv"
	"sync"

	"golang.org/x/crypto/ssh"

	"github.com/wpbake/wpbake/internal/localcloud/ec2"
)

// Options configure a Service. Port and Secret must be set.
type Options struct {
	Port   int          // on every instance's address
	Secret string       // of which host keys are made, so that they stay
	Log    *slog.Logger // nil is silent
}

// Service is the ssh server of all instances.
type Service struct{ options Options }

// New makes a service that listens nowhere yet.
func New(o Options) *Service {
	if o.Log == nil {
		o.Log = slog.New(slog.DiscardHandler)
	}
	return &Service{o}
}

// server is one instance's.
type server struct {
	config   *ssh.ServerConfig
	listener net.Listener
	machine  ec2.Commander
	log      *slog.Logger

	ctx    context.Context
	cancel context.CancelFunc
	all    sync.WaitGroup
}

// Serve opens an instance's server. Closing it ends what came in by it, too.
func (s *Service) Serve(login ec2.Login, machine ec2.Commander) (io.Closer, error) {
	config, err := s.config(login)
	if err != nil {
		return nil, fmt.Errorf("opening ssh of %q: %w", login.InstanceID, err)
	}
	listener, err := net.Listen("tcp", net.JoinHostPort(login.Address, strconv.Itoa(s.options.Port)))
	if err != nil {
		return nil, fmt.Errorf("opening ssh of %q: %w", login.InstanceID, err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	one := &server{config: config, listener: listener, machine: machine, log: s.options.Log.With("instance", login.InstanceID), ctx: ctx, cancel: cancel}
	one.all.Go(one.accept)
	return one, nil
}

// config accepts the login's key for any name: a machine has one user.
func (s *Service) config(login ec2.Login) (*ssh.ServerConfig, error) {
	wanted, _, _, _, err := ssh.ParseAuthorizedKey([]byte(login.Key))
	if err != nil {
		return nil, err
	}
	config := &ssh.ServerConfig{
		ServerVersion: "SSH-2.0-wpbake_local",
		PublicKeyCallback: func(_ ssh.ConnMetadata, key ssh.PublicKey) (*ssh.Permissions, error) {
			if !bytes.Equal(key.Marshal(), wanted.Marshal()) {
				return nil, errors.New("another key")
			}
			return nil, nil
		},
	}
	mac := hmac.New(sha256.New, []byte(s.options.Secret))
	mac.Write([]byte("ssh host key of " + login.InstanceID))
	host, err := ssh.NewSignerFromKey(ed25519.NewKeyFromSeed(mac.Sum(nil)))
	if err != nil {
		return nil, err
	}
	config.AddHostKey(host)
	return config, nil
}

// Close implements io.Closer.
func (s *server) Close() error {
	err := s.listener.Close()
	s.cancel()
	s.all.Wait()
	return err
}

func (s *server) accept() {
	for {
		connection, err := s.listener.Accept()
		if errors.Is(err, net.ErrClosed) {
			return
		}
		if err != nil {
			s.log.Error("accepting ssh", "error", err)
			return
		}
		s.all.Go(func() { s.serve(connection) })
	}
}

// serve is one connection until it ends.
func (s *server) serve(connection net.Conn) {
	stop := context.AfterFunc(s.ctx, func() { _ = connection.Close() })
	defer stop()
	defer connection.Close()
	over, channels, requests, err := ssh.NewServerConn(connection, s.config)
	if err != nil {
		s.log.Info("refusing ssh", "error", err)
		return
	}
	ctx, cancel := context.WithCancel(s.ctx)
	defer cancel()
	go ssh.DiscardRequests(requests)
	var sessions sync.WaitGroup
	for asked := range channels {
		if asked.ChannelType() != "session" {
			_ = asked.Reject(ssh.UnknownChannelType, "only sessions are served")
			continue
		}
		channel, requests, err := asked.Accept()
		if err != nil {
			break
		}
		sessions.Go(func() { s.session(ctx, channel, requests) })
	}
	cancel() // the client is gone: what it ran ends
	sessions.Wait()
	_ = over.Close()
}

// sftpServer finds the program that sshd has for its subsystem.
const sftpServer = `for s in /usr/lib/openssh/sftp-server /usr/libexec/openssh/sftp-server /usr/lib/ssh/sftp-server /usr/libexec/sftp-server; do
	[ -x "$s" ] && exec "$s"
done
echo "no sftp-server on this machine" >&2
exit 127`

// session is one command, shell or subsystem, and what is said before it.
func (s *server) session(ctx context.Context, channel ssh.Channel, requests <-chan *ssh.Request) {
	defer channel.Close()
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	var environ []string
	var running sync.WaitGroup
	defer running.Wait()
	begun := false
	for request := range requests {
		line, known := "", true
		switch request.Type {
		case "env":
			var variable struct{ Name, Value string }
			known = ssh.Unmarshal(request.Payload, &variable) == nil
			environ = append(environ, variable.Name+"="+variable.Value)
			reply(request, known)
			continue
		case "shell":
		case "exec":
			var command struct{ Line string }
			known = ssh.Unmarshal(request.Payload, &command) == nil
			line = command.Line
		case "subsystem":
			var subsystem struct{ Name string }
			known = ssh.Unmarshal(request.Payload, &subsystem) == nil && subsystem.Name == "sftp"
			line = sftpServer
		default: // there are no terminals, and signals come with the end of the connection
			known = false
		}
		if !known || begun {
			reply(request, false)
			continue
		}
		begun = true
		reply(request, true)
		running.Go(func() {
			s.run(ctx, channel, ec2.Command{Line: line, Environ: environ, Stdin: channel, Stdout: channel, Stderr: channel.Stderr()})
			_ = channel.Close() // ends requests
		})
	}
	cancel() // the channel is closed: the client is not interested any more
}

func reply(request *ssh.Request, ok bool) {
	if request.WantReply {
		_ = request.Reply(ok, nil) // the client is gone, nobody is left to tell
	}
}

func (s *server) run(ctx context.Context, channel ssh.Channel, command ec2.Command) {
	status, err := s.machine.Command(ctx, command)
	if err != nil {
		fmt.Fprintln(channel.Stderr(), err)
		status = 255
	}
	_, _ = channel.SendRequest("exit-status", false, ssh.Marshal(struct{ Status uint32 }{uint32(status)})) // as in reply
}
