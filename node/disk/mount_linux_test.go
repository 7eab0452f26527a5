package disk

import "testing"

func TestParseMounts(t *testing.T) {
	table := "22 1 254:0 / / rw,relatime shared:1 - ext4 /dev/vda rw\n" +
		"90 22 7:0 / /srv/word\\040press/a ro,nosuid - erofs /dev/loop0 ro\n" +
		"91 22 0:50 / /srv/word\\040press/b rw shared:3 master:1 - erofs /srv/b\\040c.erofs ro\n" +
		"broken\n"
	got := append(parseMounts(table, "/srv/word press/a"), parseMounts(table, "/srv/word press/b")...)
	want := []Mounted{{"erofs", "/dev/loop0", true}, {"erofs", "/srv/b c.erofs", false}}
	if len(got) != 2 || got[0] != want[0] || got[1] != want[1] {
		t.Errorf("got %+v", got)
	}
}
