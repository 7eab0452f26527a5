//go:build !linux

package node

import "errors"

func mountImage(string, string) error { return errors.ErrUnsupported }

func mountedFrom(string, string) bool { return false }

func unmountAll(string) error { return nil }
