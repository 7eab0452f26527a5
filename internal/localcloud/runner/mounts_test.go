//go:build linux

package runner

import (
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

func TestDiskMounts(t *testing.T) {
	base := "/var" // of which sub-directories can be named without making any
	entries, err := os.ReadDir(base)
	if err != nil {
		t.Fatal(err)
	}
	var dirs []string
	for _, entry := range entries {
		if entry.IsDir() {
			dirs = append(dirs, filepath.Join(base, entry.Name()))
		}
	}
	table := fmt.Sprintf(`21 1 254:0 / / rw,relatime - ext4 /dev/vda rw
22 21 0:5 / /proc rw - proc proc rw
23 21 254:1 / %[2]s rw,relatime shared:1 - xfs /dev/vdb rw
24 21 254:1 / %[1]s rw,relatime - btrfs /dev/vdb rw
25 21 7:0 / %[3]s ro - squashfs /dev/loop0 ro
26 21 254:2 / /tmp rw - ext4 /dev/vdc rw
27 21 254:2 / /nowhere\040at\040all rw - ext4 /dev/vdc rw
28 21 254:2 / /etc/passwd rw - ext4 /dev/vdc rw
nonsense
`, dirs[0], dirs[1], dirs[2])
	if got, want := diskMounts(table), dirs[:2]; !slices.Equal(got, want) {
		t.Errorf("mounts %q, want %q", got, want)
	}
	if got := unescapeMount(`a\040b\134c`); got != `a b\c` {
		t.Errorf("unescaped %q", got)
	}
	if strings.Contains(strings.Join(hidden(t), " "), "/usr/bin") {
		t.Error("a directory of the root file system is hidden")
	}
}

func hidden(t *testing.T) []string {
	t.Helper()
	r := &Runner{opts: Options{Path: []string{"/usr/bin", t.TempDir(), "/nowhere"}}}
	return r.hidden()
}
