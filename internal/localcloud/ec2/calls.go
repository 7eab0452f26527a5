package ec2

import (
	"context"
	"net/netip"
)

// Caller is a Process that knows its own connections.
type Caller interface {
	// Calls reports whether one of the machine's processes holds the client's
	// end of a TCP connection.
	Calls(client, server netip.AddrPort) bool
}

// Calls reports whether a connection comes from inside an instance. It waits
// until a starting machine can tell. A machine that cannot is not called from.
func (s *Service) Calls(ctx context.Context, id string, client, server netip.AddrPort) bool {
	s.mu.Lock()
	m := s.machines[id]
	s.mu.Unlock()
	if m == nil {
		return false
	}
	select {
	case <-m.started:
	case <-ctx.Done():
		return false
	}
	s.mu.Lock()
	caller, ok := m.process.(Caller)
	s.mu.Unlock()
	return ok && caller.Calls(client, server)
}
