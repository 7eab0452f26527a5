package localcloud

import (
	"cmp"
	"errors"
	"fmt"
	"hash/fnv"
	"net"
	"syscall"

	"github.com/wpbake/wpbake/internal/localcloud/imds"
)

const (
	firstNetwork = 16  // 127.0 and its neighbours are other programs'
	networks     = 200 // 127.16 to 127.215
)

// network is the /16 of loopback that this cloud's instances live in. While
// its guard is bound, no other cloud of this machine takes the same.
type network struct {
	number byte
	guard  net.Listener // nil when nothing listens
}

// reserveNetwork takes the saved network, or the next that is free.
func reserveNetwork(saved byte, o Options) (*network, error) {
	hash := fnv.New32a()
	_, _ = hash.Write([]byte(o.Endpoint)) // never fails
	first := int(cmp.Or(saved, byte(firstNetwork+hash.Sum32()%networks))) - firstNetwork
	if o.NoServe || o.Runner == nil {
		return &network{number: byte(firstNetwork + first)}, nil
	}
	for n := range networks {
		number := byte(firstNetwork + (first+n)%networks)
		guard, err := net.Listen("tcp", fmt.Sprintf("127.%d.255.254:%d", number, imds.Port))
		if err == nil {
			return &network{number, guard}, nil
		}
		if !errors.Is(err, syscall.EADDRINUSE) {
			return nil, fmt.Errorf("reserving loopback addresses for instances: %w", err)
		}
	}
	return nil, errors.New("reserving loopback addresses for instances: all are taken by other local clouds")
}

// sshPort is where instances are served by ssh: 22, or 2222 where this user
// may not have that, or a server of the host's takes it on all addresses.
func (n *network) sshPort() int {
	trial, err := net.Listen("tcp", fmt.Sprintf("127.%d.255.254:22", n.number))
	if err != nil {
		return 2222
	}
	_ = trial.Close()
	return 22
}

// Close gives the network back.
func (n *network) Close() {
	if n.guard != nil {
		_ = n.guard.Close()
	}
}
