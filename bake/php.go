package bake

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"strings"

	"github.com/wpbake/wpbake/wordpress/nodeconfig"
	"github.com/wpbake/wpbake/wordpress/php"
)

// findPHP returns the PHP that parses the tree: the one that is named, else
// one of the nodes' version. Another version's opinion would be worth little,
// so without one nothing is parsed, and why says so.
func findPHP(ctx context.Context, dir string, check Settings, node *nodeconfig.Config) (program *php.Program, why string, err error) {
	if check.PHP == NoPHP {
		return nil, "check.php is off", nil
	}
	want := ""
	if node != nil {
		want = node.PHP
	}
	for _, name := range phpNames(check, want) {
		file, err := exec.LookPath(name)
		if errors.Is(err, exec.ErrNotFound) && check.PHP == "" {
			continue
		}
		if err != nil {
			return nil, "", &SettingError{fmt.Errorf("check.php: %w", err), "name a program, or off"}
		}
		found, err := php.Open(ctx, file, dir)
		if err != nil {
			return nil, "", err
		}
		if want == "" || majorMinor(found.Version()) == majorMinor(want) || check.PHP != "" {
			return found, "", nil
		}
		why = fmt.Sprintf("the PHP here is %s, that of the nodes %s", found.Version(), want)
	}
	if why == "" {
		why = "there is no php here"
	}
	return nil, why, nil
}

// phpNames are the programs that may parse the tree for nodes of a version.
func phpNames(check Settings, want string) []string {
	if check.PHP != "" {
		return []string{check.PHP}
	}
	return []string{"php" + majorMinor(want), "php"}
}

// phpStamps tells the programs that may parse a tree from others by the same
// names, without running them: another PHP may parse otherwise.
func phpStamps(check Settings) []string {
	if check.PHP == NoPHP {
		return nil
	}
	want := check.NodePHP
	if want == "" && check.Node != "" {
		if node, err := nodeconfig.Read(os.DirFS(check.Node), "."); err == nil {
			want = node.PHP
		}
	}
	var stamps []string
	for _, name := range phpNames(check, want) {
		program, err := exec.LookPath(name)
		if err != nil {
			continue
		}
		if info, err := os.Stat(program); err == nil {
			stamps = append(stamps, fmt.Sprintf("%s %d %d", program, info.Size(), info.ModTime().UnixNano()))
		}
	}
	return stamps
}

// majorMinor cuts a version after its second number.
func majorMinor(v string) string {
	parts := strings.SplitN(v, ".", 3)
	return strings.Join(parts[:min(len(parts), 2)], ".")
}
