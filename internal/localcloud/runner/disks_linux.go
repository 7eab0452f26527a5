package runner

import (
	"encoding/binary"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	"github.com/wpbake/wpbake/internal/localcloud/ec2"
)

// Volumes are shown to a machine as udev would show them on EC2: below
// /dev/disk by volume, and by the UUID of the file system on them. What is
// there is a file, which mount(8) takes like a device.

// diskDir is the machine's /dev/disk, in its own directory.
func diskDir(dir string) string { return filepath.Join(dir, "disk") }

// layOut shows a machine's volumes and no others.
func layOut(dir string, disks []ec2.Disk) error {
	for _, kind := range []string{"by-id", "by-uuid"} {
		if err := os.RemoveAll(filepath.Join(diskDir(dir), kind)); err != nil {
			return err
		}
		if err := os.MkdirAll(filepath.Join(diskDir(dir), kind), 0o755); err != nil {
			return err
		}
	}
	for _, disk := range disks {
		if err := plug(dir, disk); err != nil {
			return err
		}
	}
	return nil
}

// diskName is the name that EC2's volumes have in Linux.
func diskName(disk ec2.Disk) string {
	return "nvme-Amazon_Elastic_Block_Store_" + strings.ReplaceAll(disk.Volume, "-", "")
}

func plug(dir string, disk ec2.Disk) error {
	name := diskName(disk)
	if err := os.Link(disk.Path, filepath.Join(diskDir(dir), "by-id", name)); err != nil {
		return fmt.Errorf("plugging in %q: %w", disk.Volume, err)
	}
	id, err := fileSystemID(disk.Path)
	if err != nil || id == "" {
		return err
	}
	at := filepath.Join(diskDir(dir), "by-uuid", id)
	if err := os.Symlink(filepath.Join("..", "by-id", name), at); !errors.Is(err, fs.ErrExist) {
		return err
	}
	return nil // two volumes with one file system: the first is found
}

func unplug(dir string, disk ec2.Disk) error {
	name := diskName(disk)
	links, err := filepath.Glob(filepath.Join(diskDir(dir), "by-uuid", "*"))
	if err != nil {
		return err
	}
	for _, link := range links {
		if target, gone := os.Readlink(link); gone == nil && filepath.Base(target) == name {
			err = errors.Join(err, os.Remove(link))
		}
	}
	return errors.Join(err, os.Remove(filepath.Join(diskDir(dir), "by-id", name)))
}

// fileSystemID is the UUID of the EROFS or ext file system in a file, "" when
// there is none.
func fileSystemID(name string) (string, error) {
	file, err := os.Open(name)
	if err != nil {
		return "", err
	}
	defer file.Close()
	super := make([]byte, 128)
	if _, err := file.ReadAt(super, 1024); err != nil {
		return "", nil // too short for any
	}
	var id []byte
	switch {
	case binary.LittleEndian.Uint32(super) == 0xe0f5e1e2:
		id = super[48:64]
	case binary.LittleEndian.Uint16(super[56:]) == 0xef53:
		id = super[104:120]
	default:
		return "", nil
	}
	return fmt.Sprintf("%x-%x-%x-%x-%x", id[:4], id[4:6], id[6:8], id[8:10], id[10:]), nil
}

// Plug shows a volume to a machine that runs.
func (p *process) Plug(disk ec2.Disk) error { return plug(p.dir, disk) }

// Unplug takes a volume away. A machine that has it mounted keeps what it has
// open, as with a disk that is pulled by force.
func (p *process) Unplug(disk ec2.Disk) error { return unplug(p.dir, disk) }
