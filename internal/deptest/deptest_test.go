package deptest

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"go/parser"
	"go/token"
	"io"
	"io/fs"
	"os/exec"
	"path"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
)

const module = "github.com/wpbake/wpbake"

// Import paths that are banned together.
var (
	awsSDK    = []string{"github.com/aws/..."}
	ec2Client = []string{"github.com/aws/aws-sdk-go-v2/service/ec2/..."}
	oci       = []string{"github.com/google/go-containerregistry/...", "github.com/opencontainers/...", module + "/artifact/ocistore/..."}
	packer    = []string{"github.com/hashicorp/...", module + "/packer/...", module + "/internal/packerexec/..."}
	foreign   = []string{"github.com/mholt/archives/...", "github.com/go-git/...", module + "/artifact/source/..."}
	testCode  = []string{"testing/...", "net/http/httptest", "github.com/xeipuuv/...", module + "/internal/aws/awstest",
		module + "/artifact/artifacttest", module + "/artifact/build/buildtest", module + "/artifact/storetest"}
)

// ours are folders of this module.
func ours(folders ...string) []string {
	paths := make([]string, len(folders))
	for i, f := range folders {
		paths[i] = module + "/" + f
	}
	return paths
}

// ban says that packages must not import others, not even by way of a third.
type ban struct {
	from   []string
	except []string // of from
	to     []string
	allow  []string // of to
	direct bool     // only imports of its own count
	reason string
}

// bans is the table of design section 3. "x/..." matches x and all below it.
func bans() []ban {
	stores := ours("artifact/s3store/...", "artifact/ocistore/...", "artifact/dirstore/...")
	return []ban{
		{from: ours("artifact"), to: slices.Concat(awsSDK, oci, ours("...")), allow: ours("artifact"),
			reason: "a format is what everything else agrees on: whoever knows it needs no cloud and none of our machines"},
		{from: ours("artifact/tree"), to: slices.Concat(awsSDK, oci, ours("...")), allow: ours("artifact", "artifact/tree"),
			reason: "what a tree holds does not depend on what becomes of it: tree never reads an artifact"},
		{from: ours("artifact/imagefs"), to: slices.Concat(awsSDK, oci, ours("...")), allow: ours("artifact", "artifact/erofs", "artifact/imagefs"),
			reason: "where the bytes of an image stand follows from the index alone"},
		{from: ours("artifact/fetch"), to: slices.Concat(awsSDK, oci, stores, ours("artifact/build/...")),
			reason: "who unpacks a release, as nodes do, makes none"},
		{from: ours("artifact/build/..."), to: slices.Concat(awsSDK, oci),
			reason: "an artifact is a tarball: whoever makes one needs no cloud"},
		{from: ours("artifact/erofs"), to: ours("..."), allow: ours("artifact/erofs"),
			reason: "a file system image does not depend on what it is made from"},
		{from: ours("artifact/s3store"), to: slices.Concat(ours("artifact/ocistore", "artifact/dirstore"), oci),
			reason: "stores know one kind of place each"},
		{from: ours("artifact/ocistore"), to: slices.Concat(ours("artifact/s3store", "artifact/dirstore"), awsSDK),
			reason: "stores know one kind of place each"},
		{from: ours("artifact/dirstore"), to: slices.Concat(ours("artifact/s3store", "artifact/ocistore"), oci, awsSDK),
			reason: "stores know one kind of place each"},
		{from: ours("artifact/storetest"), to: slices.Concat(stores, oci, awsSDK),
			reason: "the suite that every store passes favours none"},
		{from: ours("artifact/..."), to: ours("bake/...", "rollout/...", "cmd/...", "node/...", "internal/localcloud/...", "internal/aws/..."),
			reason: "stores are handed their clients and serve releases without knowing them"},
		{from: ours("artifact/..."), except: ours("artifact/source"), to: foreign,
			reason: "who fetches an artifact reads no foreign archives and no repositories"},
		{from: ours("..."), except: ours("artifact/source"), to: foreign[:2], direct: true,
			reason: "one package reads foreign archives and repositories"},
		{from: ours("..."), except: ours("bake", "cmd/wpbake"), to: ours("artifact/source/..."), direct: true,
			reason: "sources are opened where a release is made"},
		{from: ours("node/...", "bake/...", "rollout/..."), to: oci,
			reason: "rollouts live on conditional writes, which a registry does not have"},
		{from: ours("..."), except: ours("artifact/ocistore", "cmd/wpbake"), to: oci, direct: true,
			reason: "one package speaks with registries, one command opens it"},
		{from: ours("node/...", "rollout/...", "bake/volume/...", "bake/inventory/...", "wordpress/..."), to: foreign,
			reason: "foreign archives are read where a release is made, never on a node"},
		{from: ours("wordpress/..."), to: slices.Concat(awsSDK, oci, stores, ours("bake/...", "rollout/...", "cmd/...", "node/...", "internal/...")),
			reason: "what a tree is as WordPress does not depend on where it rests or runs"},
		{from: ours("wordpress/internal/..."), to: ours("..."), allow: ours("wordpress/internal/..."),
			reason: "how foreign files and texts are taken in does not depend on what they say"},
		{from: ours("wordpress/php", "wordpress/nodeconfig"), to: ours("..."), allow: ours("wordpress/php", "wordpress/nodeconfig", "wordpress/internal/..."),
			reason: "a language and the files of /etc are what they are without WordPress"},
		{from: ours("wordpress/scan"), to: ours("..."), allow: ours("wordpress/php", "wordpress/internal/..."),
			reason: "what a file shows is found without knowing what it means for a site"},
		{from: ours("wordpress/wpconfig"), to: ours("..."), allow: ours("wordpress/php", "wordpress/internal/..."),
			reason: "a configuration is read the same wherever its tree comes from"},
		{from: ours("wordpress"), to: ours("wordpress/database/...", "wordpress/rules/..."),
			reason: "what a tree is does not depend on its database, nor on what is thought of it"},
		{from: ours("wordpress/database"), to: ours("wordpress/rules/...", "wordpress/nodeconfig"),
			reason: "nodes ask the database, and no rule of a tree has a say in that"},
		{from: ours("node/...", "rollout/..."), to: ours("wordpress/rules/..."),
			reason: "trees are judged before they become releases"},
		{from: ours("rollout/userdata"), to: ours("..."), allow: ours("rollout/userdata", "artifact"),
			reason: "what cloud-init reads does not depend on who rolls it out"},
		{from: ours("rollout/..."), to: slices.Concat(awsSDK, packer, ours("bake/...", "cmd/...", "internal/localcloud/...", "internal/aws/...")),
			reason: "a release is decided over small interfaces, so that it can be tested without any cloud"},
		{from: ours("bake/..."), to: slices.Concat(awsSDK, ours("rollout/...", "cmd/...", "internal/localcloud/...", "internal/aws/...")),
			reason: "what nodes boot is made over small interfaces, and no group is known where it is made"},
		{from: ours("bake/volume/...", "bake/inventory/..."), to: packer,
			reason: "only AMIs need Packer"},
		{from: ours("bake"), to: append(ours("packer/...", "internal/packerexec/...", "bake/..."), "github.com/hashicorp/packer/...", "github.com/hashicorp/packer-plugin-sdk/..."),
			allow: ours("bake"), reason: "a tree becomes an artifact before anybody knows what nodes will boot"},
		{from: ours("..."), except: ours("bake/ami", "cmd/wpbake"), to: ours("internal/packerexec/..."), direct: true,
			reason: "bake/ami runs Packer, one command gives it the program"},
		{from: ours("packer/..."), to: ours("..."), allow: ours("packer/..."),
			reason: "templates and plugin are used by programs that are not ours"},
		{from: ours("node/..."), to: slices.Concat(awsSDK, ours("bake/...", "rollout/...", "cmd/...", "internal/...")), allow: ours("internal/spelling", "internal/scratch"),
			reason: "a node boots the release it is told and knows nothing of rollouts"},
		{from: ours("node/...", "rollout/..."), to: ours("artifact/build/..."),
			reason: "a release is built before it is rolled out, and never on a node"},
		{from: ours("node/wait"), to: ours("..."), allow: ours("node/wait"),
			reason: "waiting does not depend on what is waited for"},
		{from: ours("node/disk"), to: ours("..."), allow: ours("node/disk", "node/wait", "artifact/...", "internal/scratch"),
			reason: "what lies on a disk does not depend on what a boot does with it"},
		{from: ours("internal/aws/..."), to: ours("cmd/...", "internal/localcloud/..."),
			reason: "adapters are the same against AWS and against the local cloud"},
		{from: ours("internal/cli/..."), to: slices.Concat(awsSDK, oci, packer, foreign, stores, ours("bake/...", "cmd/...", "internal/aws/...", "internal/localcloud/...")),
			reason: "how wpbake speaks with people does not depend on what it speaks to: the command opens that"},
		{from: ours("internal/packerexec/..."), to: slices.Concat(awsSDK, ours("cmd/...")),
			reason: "running a program needs no cloud"},
		{from: ours("internal/owner"), to: ours("..."), allow: ours("internal/owner"),
			reason: "who makes a thing does not depend on what it is"},
		{from: ours("internal/scratch"), to: ours("..."), allow: ours("internal/scratch"),
			reason: "a directory that a dead process left is removed whatever lies in it"},
		{from: ours("internal/tier"), to: ours("..."), allow: ours("internal/tier"),
			reason: "which tier a test is of does not depend on what it tests"},
		{from: ours("..."), except: ours("artifact/artifacttest"), to: ours("internal/tier"), direct: true,
			reason: "tests alone ask which tier they run in"},
		{from: ours("internal/spelling"), to: ours("..."), allow: ours("internal/spelling"),
			reason: "words do not depend on what they stand for"},
		{from: ours("internal/wire/..."), to: ours("..."), allow: ours("internal/wire/..."),
			reason: "encodings do not depend on what is said in them"},
		{from: ours("internal/localcloud/..."), to: ours("..."), allow: ours("internal/localcloud/...", "internal/wire/..."),
			reason: "the local cloud is a second opinion about AWS: code shared with its client would agree with itself"},
		{from: ours("internal/localcloud/guard"), to: slices.Concat(awsSDK, ours("...")), allow: ours("internal/localcloud/guard"),
			reason: "what a web page can send does not depend on what it asks for"},
		{from: ours("internal/localcloud/control"), to: ours("..."), allow: ours("internal/localcloud/control"),
			reason: "who asks the local cloud how it is need not carry one"},
		{from: ours("internal/localcloud/..."), to: []string{"github.com/aws/aws-sdk-go-v2/config/..."}, direct: true,
			reason: "the local cloud serves calls and makes none"},
		{from: ours("..."), except: ours("internal/aws/...", "internal/localcloud/...", "ci/..."), to: ec2Client, direct: true,
			reason: "internal/aws alone drives EC2, the local cloud alone serves it, ci sets groups up with it"},
		{from: ours("..."), except: ours("cmd/wpbake", "internal/localcloud/...", "ci/..."), to: ours("internal/localcloud/..."), direct: true,
			reason: "production code never leans on the local cloud; wpbake local starts it"},
		{from: ours("..."), except: ours("artifact/s3store", "internal/aws/...", "internal/localcloud/...", "internal/wire/...", "ci/..."), to: awsSDK, direct: true,
			reason: "AWS is behind adapters, its bytes are behind encodings"},
		{from: ours("..."), except: ours("ci/..."), to: ours("ci/..."), direct: true,
			reason: "what builds and tests the house is no part of it"},
		{from: ours("cmd/..."), to: testCode, reason: "test code does not ship"},
	}
}

// onlyFile says that of a package's files only some may import others.
type onlyFile struct {
	prefix string // of the files' names
	to     []string
	reason string
}

// commandFiles are those of cmd/wpbake.
func commandFiles() []onlyFile {
	return []onlyFile{
		{"local", ours("internal/localcloud/..."), "the commands about it alone start a local cloud"},
		{"open.go", ours("artifact/s3store", "artifact/ocistore", "artifact/dirstore"), "stores are opened in one place"},
	}
}

// pkg is what go list tells.
type pkg struct {
	ImportPath string
	Dir        string
	GoFiles    []string
	Imports    []string
	Deps       []string
}

func TestImports(t *testing.T) {
	pkgs := list(t)
	for _, b := range bans() {
		for _, chain := range b.broken(pkgs) {
			t.Errorf("%s\n\tbanned because %s", strings.Join(chain, " imports "), b.reason)
		}
	}
}

// broken returns the chains of imports that the ban forbids.
func (b ban) broken(pkgs []pkg) [][]string {
	var chains [][]string
	for _, p := range pkgs {
		if matches(b.except, p.ImportPath) || !matches(b.from, p.ImportPath) {
			continue
		}
		seen := p.Deps
		if b.direct {
			seen = p.Imports
		}
		for _, d := range seen {
			if d != p.ImportPath && matches(b.to, d) && !matches(b.allow, d) {
				chains = append(chains, way(pkgs, p.ImportPath, d))
			}
		}
	}
	return chains
}

func TestBroken(t *testing.T) {
	pkgs := []pkg{
		{ImportPath: "a", Imports: []string{"b"}, Deps: []string{"b", "c", "c/d"}},
		{ImportPath: "b", Imports: []string{"c/d"}, Deps: []string{"c", "c/d"}},
	}
	for want, b := range map[string]ban{
		"[[a b c/d]]":           {from: []string{"a"}, to: []string{"c/d"}},
		"[[a other modules c]]": {from: []string{"a"}, to: []string{"c"}},
		"[[b c/d]]":             {from: []string{"a", "b"}, to: []string{"c/..."}, direct: true},
		"[]":                    {from: []string{"a", "b"}, except: []string{"b"}, to: []string{"c/..."}, allow: []string{"c", "c/d"}},
	} {
		if got := fmt.Sprint(b.broken(pkgs)); got != want {
			t.Errorf("got %s, want %s", got, want)
		}
	}
}

func TestOnlySomeFilesOfTheCommandImport(t *testing.T) {
	checked := 0
	for _, p := range list(t) {
		if p.ImportPath != module+"/cmd/wpbake" {
			continue
		}
		for _, name := range p.GoFiles {
			checked++
			f, err := parser.ParseFile(token.NewFileSet(), filepath.Join(p.Dir, name), nil, parser.ImportsOnly)
			if err != nil {
				t.Fatal(err)
			}
			for _, i := range f.Imports {
				imported, err := strconv.Unquote(i.Path.Value)
				if err != nil {
					t.Fatal(err)
				}
				for _, only := range commandFiles() {
					if matches(only.to, imported) && !strings.HasPrefix(name, only.prefix) {
						t.Errorf("%s imports %s, which only %s* may: %s", name, imported, only.prefix, only.reason)
					}
				}
			}
		}
	}
	if checked == 0 {
		t.Error("the command has no files")
	}
}

// Packer's plugin is a module of its own, which go list does not see from here.
func TestThePluginImportsNothingOfTheMainModule(t *testing.T) {
	root := filepath.Join("..", "..", "packer", "plugin")
	files := 0
	err := filepath.WalkDir(root, func(p string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() || !strings.HasSuffix(p, ".go") {
			return err
		}
		files++
		f, err := parser.ParseFile(token.NewFileSet(), p, nil, parser.ImportsOnly)
		if err != nil {
			return err
		}
		for _, i := range f.Imports {
			imported, err := strconv.Unquote(i.Path.Value)
			if err != nil {
				return err
			}
			if matches(ours("..."), imported) && !matches(ours("packer/plugin/..."), imported) {
				t.Errorf("%s imports %s: the plugin drives the wpbake program, it is not linked with it", p, imported)
			}
		}
		return nil
	})
	if err != nil || files == 0 {
		t.Fatalf("%d files, %v", files, err)
	}
}

// list asks go for this module's packages. Packages that do not compile yet
// are listed all the same.
func list(t *testing.T) []pkg {
	t.Helper()
	watch(t)
	cmd := exec.CommandContext(t.Context(), "go", "list", "-e", "-json=ImportPath,Dir,GoFiles,Imports,Deps", "./...")
	cmd.Dir = filepath.Join("..", "..")
	var errs bytes.Buffer
	cmd.Stderr = &errs
	out, err := cmd.Output()
	if err != nil {
		t.Fatalf("listing packages: %v\n%s", err, errs.String())
	}
	var pkgs []pkg
	for d := json.NewDecoder(bytes.NewReader(out)); ; {
		var p pkg
		if err := d.Decode(&p); errors.Is(err, io.EOF) {
			break
		} else if err != nil {
			t.Fatalf("reading go list: %v", err)
		}
		pkgs = append(pkgs, p)
	}
	if len(pkgs) < 5 {
		t.Fatalf("go list found only %d packages", len(pkgs))
	}
	return pkgs
}

// watch opens every folder, so that go test does not repeat a cached result
// after a file changed that only go list has read.
func watch(t *testing.T) {
	t.Helper()
	err := filepath.WalkDir(filepath.Join("..", ".."), func(p string, d fs.DirEntry, err error) error {
		if d != nil && d.IsDir() && len(d.Name()) > 2 && strings.HasPrefix(d.Name(), ".") {
			return fs.SkipDir
		}
		if errors.Is(err, fs.ErrNotExist) { // gone while walking
			return nil
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
}

// way is a shortest chain of this module's packages from one package to
// another.
func way(pkgs []pkg, from, to string) []string {
	imports := map[string][]string{}
	for _, p := range pkgs {
		imports[p.ImportPath] = p.Imports
	}
	before := map[string]string{from: ""}
	for queue := []string{from}; len(queue) > 0; queue = queue[1:] {
		for _, next := range imports[queue[0]] {
			if _, seen := before[next]; seen {
				continue
			}
			before[next] = queue[0]
			queue = append(queue, next)
		}
	}
	if _, ok := before[to]; !ok {
		return []string{from, "other modules", to}
	}
	var chain []string
	for p := to; p != ""; p = before[p] {
		chain = append(chain, p)
	}
	slices.Reverse(chain)
	return chain
}

func matches(patterns []string, importPath string) bool {
	return slices.ContainsFunc(patterns, func(p string) bool {
		below, all := strings.CutSuffix(p, "/...")
		return importPath == path.Clean(below) || all && strings.HasPrefix(importPath, below+"/")
	})
}

func TestMatches(t *testing.T) {
	for _, c := range []struct {
		pattern, importPath string
		want                bool
	}{
		{"a/b", "a/b", true}, {"a/b", "a/b/c", false}, {"a/b/...", "a/b", true}, {"a/b/...", "a/b/c/d", true},
		{"a/b/...", "a/bc", false}, {"a/b", "a", false},
	} {
		if got := matches([]string{c.pattern}, c.importPath); got != c.want {
			t.Errorf("%s matches %s: %v", c.pattern, c.importPath, got)
		}
	}
}
