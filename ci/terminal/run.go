package terminal

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"syscall"

	"golang.org/x/sys/unix"
)

// Run runs a program whose standard error is a terminal of this size and
// returns the screens that it painted, without repetitions. A program that
// ends badly has its screens returned with the error.
func Run(cmd *exec.Cmd, columns, rows int) ([]Screen, error) {
	ours, theirs, err := open(columns, rows)
	if err != nil {
		return nil, err
	}
	defer ours.Close()
	cmd.Stderr = theirs
	if err := cmd.Start(); err != nil {
		theirs.Close()
		return nil, err
	}
	theirs.Close()
	screens, err := watch(ours, columns, rows)
	if err != nil {
		// Nobody reads the terminal any more: the program would wait for ever.
		err = errors.Join(err, cmd.Process.Kill())
	}
	return screens, errors.Join(err, cmd.Wait())
}

// open makes a pseudo-terminal.
func open(columns, rows int) (ours, theirs *os.File, err error) {
	ours, err = os.OpenFile("/dev/ptmx", os.O_RDWR, 0)
	if err != nil {
		return nil, nil, err
	}
	fd := int(ours.Fd())
	n, err := unix.IoctlGetInt(fd, unix.TIOCGPTN)
	if err == nil {
		err = unix.IoctlSetPointerInt(fd, unix.TIOCSPTLCK, 0)
	}
	if err == nil {
		err = unix.IoctlSetWinsize(fd, unix.TIOCSWINSZ, &unix.Winsize{Row: uint16(rows), Col: uint16(columns)})
	}
	if err == nil {
		theirs, err = os.OpenFile(fmt.Sprintf("/dev/pts/%d", n), os.O_RDWR|syscall.O_NOCTTY, 0)
	}
	if err != nil {
		ours.Close()
		return nil, nil, fmt.Errorf("making a terminal: %w", err)
	}
	return ours, theirs, nil
}

// watch reads until the last program lets go of the terminal. Each read is one
// screen: a live view writes itself as a whole.
func watch(ours *os.File, columns, rows int) ([]Screen, error) {
	e := newEmulator(columns, rows)
	var screens []Screen
	b := make([]byte, 64<<10)
	for {
		n, err := ours.Read(b)
		if n > 0 {
			if err := e.write(b[:n]); err != nil {
				return screens, err
			}
			if s := e.screen(); len(screens) == 0 || s.Text() != screens[len(screens)-1].Text() {
				screens = append(screens, s)
			}
		}
		var gone *fs.PathError
		if errors.As(err, &gone) && errors.Is(gone.Err, syscall.EIO) {
			return screens, nil // Linux says so when nobody holds the other end
		}
		if err != nil {
			return screens, err
		}
	}
}
