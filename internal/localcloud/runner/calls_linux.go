package runner

import (
	"encoding/binary"
	"fmt"
	"net/netip"
	"os"
	"strconv"
	"strings"
)

// socket is one end of a TCP connection of this machine, as the kernel's table
// shows it.
type socket struct {
	inode string
	uid   int // of who made it
}

// Calls reports whether one of the machine's processes holds the client's end
// of a connection. Signs that only the kernel gives, session and namespace,
// are looked at first: they are cheap, and what a machine starts has them. The
// others, environment and open files, anybody's process can show: they count
// for sockets of this user alone. Nothing is remembered: numbers of processes
// and sockets soon are somebody else's.
func (p *process) Calls(client, server netip.AddrPort) bool {
	select {
	case <-p.done:
		return false
	default:
	}
	one, ok := findSocket(client, server)
	if !ok {
		return false
	}
	held := "socket:[" + one.inode + "]"
	if anyProcess(func(pid int) bool { return p.own(pid) && hasOpen(pid, held) }) {
		return true
	}
	return one.uid == os.Geteuid() && anyProcess(func(pid int) bool { return hasOpen(pid, held) && p.belongs(pid) })
}

// anyProcess asks about this machine's processes but this one, up to the first
// of which is reports so.
func anyProcess(is func(pid int) bool) bool {
	entries, err := os.ReadDir("/proc")
	if err != nil {
		return false
	}
	for _, entry := range entries {
		if pid, err := strconv.Atoi(entry.Name()); err == nil && pid != os.Getpid() && is(pid) {
			return true
		}
	}
	return false
}

// findSocket finds the client's end of a connection. A program that only
// speaks version 6 reaches version 4 by mapped addresses.
func findSocket(client, server netip.AddrPort) (socket, bool) {
	for _, table := range []struct{ file, prefix string }{
		{"/proc/self/net/tcp", ""}, {"/proc/self/net/tcp6", "0000000000000000FFFF0000"},
	} {
		text, err := os.ReadFile(table.file)
		if err != nil {
			continue
		}
		if one, ok := socketIn(string(text), table.prefix+hexOf(client), table.prefix+hexOf(server)); ok {
			return one, true
		}
	}
	return socket{}, false
}

// socketIn reads the kernel's table, of which a line is
// "n: LOCAL REMOTE state queues timer retries UID timeout INODE …".
func socketIn(table, local, remote string) (socket, bool) {
	for line := range strings.Lines(table) {
		if !strings.Contains(line, local) {
			continue
		}
		fields := strings.Fields(line)
		if len(fields) < 10 || fields[1] != local || fields[2] != remote || fields[9] == "0" {
			continue
		}
		uid, err := strconv.Atoi(fields[7])
		return socket{fields[9], uid}, err == nil
	}
	return socket{}, false
}

// hexOf writes an address of version 4 as the kernel's table does: as a number
// of this processor.
func hexOf(a netip.AddrPort) string {
	address := a.Addr().Unmap().As4()
	return fmt.Sprintf("%08X:%04X", binary.NativeEndian.Uint32(address[:]), a.Port())
}
