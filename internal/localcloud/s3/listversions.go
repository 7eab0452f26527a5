package s3

import (
	"encoding/xml"
	"net/http"
	"slices"
)

type listedVersion struct {
	XMLName           xml.Name
	Key               string
	VersionID         string `xml:"VersionId"`
	IsLatest          bool
	LastModified      stamp
	ETag              string `xml:",omitempty"`
	ChecksumAlgorithm string `xml:",omitempty"`
	ChecksumType      string `xml:",omitempty"`
	Size              *int64 `xml:",omitempty"`
	StorageClass      string `xml:",omitempty"`
	Owner             person
}

type listVersionsResult struct {
	XMLName             xml.Name `xml:"http://s3.amazonaws.com/doc/2006-03-01/ ListVersionsResult"`
	Name                string
	Prefix              string
	KeyMarker           string
	VersionIDMarker     string `xml:"VersionIdMarker"`
	NextKeyMarker       string `xml:",omitempty"`
	NextVersionIDMarker string `xml:"NextVersionIdMarker,omitempty"`
	MaxKeys             int
	Delimiter           string `xml:",omitempty"`
	EncodingType        string `xml:",omitempty"`
	IsTruncated         bool
	Entries             []listedVersion // Version and DeleteMarker, in order
	CommonPrefixes      []commonPrefix
}

// versionEntry is one version of one key.
type versionEntry struct {
	key    string
	object *object
	latest bool
}

func (s *Service) listVersions(w http.ResponseWriter, r *request) error {
	b, err := s.bucketNamed(r.bucket)
	if err != nil {
		return err
	}
	p, err := pageOf(r, "max-keys")
	if err != nil {
		return err
	}
	keyMarker, idMarker := r.query.Get("key-marker"), r.query.Get("version-id-marker")
	if idMarker != "" && keyMarker == "" {
		return invalidArgument("version-id-marker", idMarker, "A version-id marker cannot be specified without a key marker.")
	}
	entries, names := s.allVersions(b)
	if p.marker = keyMarker; keyMarker != "" {
		p.marker = markerOf(names, keyMarker, func(i int) bool { return entries[i].object.Version == idMarker })
	}
	l := p.walk(names, func(string) bool { return true })
	result := listVersionsResult{
		Name: b.Name, Prefix: p.name(p.prefix), KeyMarker: p.name(keyMarker), VersionIDMarker: idMarker,
		MaxKeys: p.most, Delimiter: p.name(p.delimiter), EncodingType: p.encoding(), IsTruncated: l.more,
		CommonPrefixes: p.commonPrefixes(l),
	}
	for _, name := range l.names {
		at, _ := slices.BinarySearch(names, name)
		result.Entries = append(result.Entries, s.listedVersion(p, entries[at]))
	}
	if l.more {
		result.NextKeyMarker, result.NextVersionIDMarker = nextMarker(names, l, func(i int) string { return entries[i].object.Version })
		result.NextKeyMarker = p.name(result.NextKeyMarker)
	}
	return writeXML(w, result)
}

// allVersions are a bucket's versions, by key and newest first, and their
// names for a walk.
func (s *Service) allVersions(b *bucket) ([]versionEntry, []string) {
	s.mu.RLock()
	defer s.mu.RUnlock()
	var entries []versionEntry
	var names []string
	for _, key := range b.keys {
		for i, o := range b.objects[key] {
			entries = append(entries, versionEntry{key, o, i == 0})
			names = append(names, numbered(key, i))
		}
	}
	return entries, names
}

func (s *Service) listedVersion(p page, e versionEntry) listedVersion {
	v := listedVersion{
		XMLName: xml.Name{Local: "Version"}, Key: p.name(e.key), VersionID: e.object.Version,
		IsLatest: e.latest, LastModified: stamp(e.object.Modified), Owner: s.owner(),
	}
	if e.object.Marker {
		v.XMLName.Local = "DeleteMarker"
		return v
	}
	v.ETag, v.Size, v.StorageClass = e.object.quotedETag(), &e.object.Size, e.object.storageClass()
	v.ChecksumAlgorithm, v.ChecksumType = e.object.Checksum.Algorithm, e.object.Checksum.Type
	return v
}
