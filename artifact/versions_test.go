package artifact

import "testing"

func TestVersionsCountAsPeopleDo(t *testing.T) {
	for _, tt := range []struct{ less, more Version }{
		{"v9", "v10"}, {"v1", "v1.1"}, {"v1.2", "v1.10"}, {"a", "b"}, {"v09", "v10"}, {"1", "a"}, {"v01", "v1"},
	} {
		if compareVersions(tt.less, tt.more) >= 0 || compareVersions(tt.more, tt.less) <= 0 || compareVersions(tt.less, tt.less) != 0 {
			t.Errorf("%s is not before %s", tt.less, tt.more)
		}
	}
}
