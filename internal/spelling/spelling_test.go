package spelling

import "testing"

func TestNearest(t *testing.T) {
	known := []string{"tree", "store", "group", "refresh.bake_time"}
	for word, want := range map[string]string{
		"gruop": "group", "stor": "store", "Tree": "tree", "refresh.bake-time": "refresh.bake_time", "alarms": "", "": "",
	} {
		if got := Nearest(word, known); got != want {
			t.Errorf("Nearest(%q) = %q, want %q", word, got, want)
		}
	}
}
