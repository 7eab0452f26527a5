package ec2

import (
	"context"
	"io"

	"github.com/aws/aws-sdk-go-v2/aws"
)

// Logins lets people and programs into instances.
type Logins interface {
	// Serve opens an instance's server; closing ends it, not what came in.
	Serve(Login, Commander) (io.Closer, error)
}

// Login is who may come into which instance.
type Login struct {
	InstanceID, Address string
	Key                 string // as in authorized_keys
}

// Commander is a Process whose machine runs further commands.
type Commander interface {
	// Command runs a command, or a shell when it names none, until it ends, and
	// returns its exit status. When ctx ends, the command and what it has
	// started are killed; writes to c's outputs must fail soon after that.
	Command(ctx context.Context, c Command) (status int, err error)
}

// Command is what somebody runs in a machine.
type Command struct {
	Line           string   // for the shell
	Environ        []string // besides the machine's own
	Stdin          io.Reader
	Stdout, Stderr io.Writer
}

// loginOf needs the mutex.
func (s *Service) loginOf(i *instance) *Login {
	k, err := s.keyPairNamed(aws.ToString(i.Data.KeyName))
	if s.options.Logins == nil || i.Data.KeyName == nil {
		return nil
	}
	// As on EC2 the key came in at the first start and stays.
	if i.Key == "" && err == nil {
		i.Key = k.Public
	}
	if i.Key == "" {
		return nil
	}
	return &Login{InstanceID: i.ID, Address: i.Address, Key: i.Key}
}

// letIn opens a started machine's server. A machine without one runs all the
// same: who cannot log in finds out.
func (s *Service) letIn(m *machine, process Process) {
	commander, able := process.(Commander)
	if m.login == nil || !able {
		return
	}
	server, err := s.options.Logins.Serve(*m.login, commander)
	if err != nil {
		s.options.Log.Error("opening ssh", "instance", m.login.InstanceID, "error", err)
		return
	}
	m.servers = append(m.servers, server)
}
