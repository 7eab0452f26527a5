package scan_test

import (
	"fmt"
	"strings"
	"testing"
	"testing/fstest"

	"github.com/wpbake/wpbake/wordpress/scan"
)

var names = map[scan.Signature]string{
	scan.AccessKey: "access key", scan.PrivateKey: "private key", scan.PHPInfo: "phpinfo", scan.SessionStart: "session",
	scan.FileTime: "file time", scan.WritesBeside: "writes", scan.MergeConflict: "merge", scan.ZeroByte: "zero byte",
	scan.EncodedForLoader: "encoded", scan.LFSPointer: "pointer", scan.RequiresAutoload: "autoload", scan.ReadsManifest: "manifest",
	scan.CloudKey: "cloud key", scan.PaymentKey: "payment key", scan.ServiceToken: "token",
}

func TestSignatures(t *testing.T) {
	key := "AKIA" + "ABCDEFGHIJKLMNOP"
	for _, tt := range []struct{ name, src, want string }{
		{"a.txt", "\n" + key + "\n" + "ASIA" + "ABCDEFGHIJKLMNOP", "access key 2, access key 3"},
		{"a.txt", "AKIA" + "IOSFODNN7EXAMPLE", ""},
		{"a.txt", "x" + key, ""},
		{"a", "-----BEGIN RSA " + "PRIVATE KEY-----", "private key 1"},
		{"a", "-----BEGIN CERTIFICATE-----", ""},
		{"a.json", `{"private_key": "x"}`, "private key 1"},
		{"a.json", `"private_key" is what it is called`, ""},
		{"a.php", "<?php\nphpinfo ( );", "phpinfo 2"},
		{"a.txt", "<?php\nphpinfo();", ""},
		{"a.php", "<?php function phpinfo() {} my_phpinfo(); $x->phpinfo(); X::phpinfo();", ""},
		{"a.php", "<?php function session_start() {}\nsession_start();", "session 2"},
		{"a.php", "<?php filemtime( 'x' );", "file time 1"},
		{"a.php", "<?php\n\nfile_put_contents( __DIR__ . '/x', '' );", "writes 3"},
		{"a.php", "<?php fopen( __DIR__ . '/y', 'r' );", ""},
		{"a.php", "<?php fopen( plugin_dir_path( __FILE__ ) . '/x', 'w' );", "writes 1"},
		{"a.php", "<?php mkdir( $uploads );", ""},
		{"a.php", "<<<<<<< a\n=======\n>>>>>>> b\n", "merge 1"},
		{"a.php", "<?php $x = <<<<<<< a\n", ""},
		{"a.php", "<?php\n\x00", "zero byte 2"},
		{"a.php", "<?php // ionCube", "encoded 1"},
		{"a.php", "<?php " + strings.Repeat(" ", 2000) + "ionCube", ""},
		{"a.bin", "version https://git-lfs.github.com/spec/v1\n", "pointer 1"},
		{"a.php", "<?php\nrequire 'vendor/autoload.php';", "autoload 2"},
		{"a.php", "<?php $m = 'mix-manifest.json';", "manifest 1"},
		{"a.bin", strings.Repeat("x", 2000) + key, ""}, // is not read
		{"a.php", "", ""},
	} {
		tree := read(t, fstest.MapFS{tt.name: {Data: []byte(tt.src)}}, scan.Options{})
		var got []string
		for _, m := range tree.Files[0].Matches {
			got = append(got, fmt.Sprint(names[m.Signature], " ", m.Line))
		}
		if got := strings.Join(got, ", "); got != tt.want {
			t.Errorf("%s %.60q shows %q, want %q", tt.name, tt.src, got, tt.want)
		}
	}
	if len(names) != int(scan.Signatures) {
		t.Errorf("%d of %d signatures are tried", len(names), scan.Signatures)
	}
}

func FuzzSignatures(f *testing.F) {
	f.Add("<?php\nphpinfo(); fopen( __DIR__, 'w' ); // AKIA\n<<<<<<< a\n=======\n>>>>>>> b\n\x00")
	f.Fuzz(func(t *testing.T, src string) {
		tree := read(t, fstest.MapFS{"a.php": {Data: []byte(src)}}, scan.Options{})
		for _, m := range tree.Files[0].Matches {
			if m.Line < 1 || m.Line > 1+strings.Count(src, "\n") || m.Signature >= scan.Signatures {
				t.Errorf("%+v in %q", m, src)
			}
		}
	})
}
