package ec2

import (
	"context"
	"errors"
	"io"
)

// Executor is a Process in which commands can be run.
type Executor interface {
	// Exec runs a shell script in the machine and returns its exit code.
	Exec(ctx context.Context, script string, stdout, stderr io.Writer) (code int, err error)
}

// ErrUnmanaged says that no command can be run in an instance: it does not run,
// or what runs it takes none.
var ErrUnmanaged = errors.New("the instance takes no commands")

// Executor finds the machine of a running instance, ErrUnmanaged when there is
// none.
func (s *Service) Executor(id string) (Executor, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	m := s.machines[id]
	if m == nil || m.halting {
		return nil, ErrUnmanaged
	}
	select {
	case <-m.started:
	default:
		return nil, ErrUnmanaged
	}
	if e, ok := m.process.(Executor); ok {
		return e, nil
	}
	return nil, ErrUnmanaged
}
