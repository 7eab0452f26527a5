//go:build !linux

package disk

import "errors"

func mountImage(string, string) error { return errors.ErrUnsupported }

func MountedFrom(string, string) bool { return false }

func Unmount(string) error { return nil }
