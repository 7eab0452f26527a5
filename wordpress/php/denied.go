package php

import (
	"bufio"
	"cmp"
	"io"
	"path"
	"regexp"
	"slices"
	"strconv"
	"strings"
)

// Denied is something that PHP wanted to write, and could not. Paths are below
// the tree, and empty where PHP does not tell them or they lie elsewhere.
type Denied struct {
	Path    string
	Outside string // the path, when it is not below the tree
	Call    string // PHP's function, such as fopen
	By      string // the file whose code called it
	Line    int    // in By
	Times   int
}

// refusal is what PHP says of a call that the file system refused:
//
//	fopen(/srv/x): Failed to open stream: Read-only file system in /srv/y.php on line 3
//	touch(): Unable to create file /srv/x because Permission denied in /srv/y.php on line 3
//	mkdir(): Read-only file system in /srv/y.php:3
var refusal = regexp.MustCompile(`((?:\w+(?:::|->))?\w+)\(([^()]*)\): (?:[\w ]+: )?(?:[Uu]nable to \w+ (?:file|link) (\S+) because )?` +
	`(Read-only file system|Permission denied|Operation not permitted) in (/.+?)(?: on line |:)(\d+)`)

// maxDenied bounds what is kept of a log; a place that was refused before
// always counts.
const maxDenied = 10000

// ReadDenied finds in a log of PHP what the file system refused. below tells
// the path below the tree of an absolute one, if it is there; what concerns no
// path and no code of the tree is left out. The logs of PHP, PHP-FPM and nginx
// are understood. It also returns how many lines there were. Calls that are
// silenced with @ are in no log.
func ReadDenied(log io.Reader, below func(string) (string, bool)) (denied []Denied, lines int, err error) {
	times := map[Denied]int{}
	r := bufio.NewReaderSize(log, 64<<10)
	for {
		line, err := r.ReadSlice('\n')
		if err != nil && err != io.EOF && err != bufio.ErrBufferFull { // the rest of a very long line is another one
			return nil, lines, err
		}
		if len(line) > 0 && err != bufio.ErrBufferFull {
			lines++
		}
		for _, d := range refusals(string(line), below) {
			if _, known := times[d]; known || len(times) < maxDenied {
				times[d]++
			}
		}
		if err == io.EOF {
			break
		}
	}
	for d, n := range times {
		d.Times = n
		denied = append(denied, d)
	}
	slices.SortFunc(denied, compareDenied)
	return denied, lines, nil
}

func compareDenied(a, b Denied) int {
	return cmp.Or(cmp.Compare(a.Path, b.Path), cmp.Compare(a.By, b.By), cmp.Compare(a.Line, b.Line),
		cmp.Compare(a.Outside, b.Outside), cmp.Compare(a.Call, b.Call))
}

func refusals(line string, below func(string) (string, bool)) []Denied {
	var list []Denied
	for _, m := range refusal.FindAllStringSubmatch(line, -1) {
		call, argument, why := m[1], cmp.Or(m[3], m[2]), m[4]
		if why != "Read-only file system" && reads(call) {
			continue
		}
		d := Denied{Call: call}
		if by, ok := below(path.Clean(m[5])); ok {
			d.By = by
			d.Line, _ = strconv.Atoi(m[6])
		}
		d.Path, d.Outside = target(argument, below)
		if d.Path != "" || d.By != "" {
			list = append(list, d)
		}
	}
	return list
}

// reads reports whether a call that lacks a permission wanted to read.
func reads(call string) bool {
	return slices.Contains([]string{"include", "include_once", "require", "require_once", "file_get_contents", "file", "readfile",
		"opendir", "scandir", "dir", "parse_ini_file", "simplexml_load_file", "getimagesize", "exif_read_data"}, call)
}

// target finds the path that was to be written in what PHP shows of a call's
// arguments. rename shows two.
func target(argument string, below func(string) (string, bool)) (inside, outside string) {
	paths := []string{argument}
	if from, to, two := strings.Cut(argument, ",/"); two {
		paths = []string{"/" + to, from}
	}
	for _, p := range paths {
		if !strings.HasPrefix(p, "/") {
			continue
		}
		if rel, ok := below(path.Clean(p)); ok {
			return rel, ""
		}
		outside = cmp.Or(outside, p)
	}
	return "", outside
}
