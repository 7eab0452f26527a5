package s3

import (
	"encoding/json"
	"encoding/xml"
	"maps"
	"net/http"
)

const (
	versioningEnabled   = "Enabled"
	versioningSuspended = "Suspended"
)

// setting is a bucket's document for a sub-resource, "" when there is none.
func (s *Service) setting(b *bucket, name string) string {
	s.mu.RLock()
	defer s.mu.RUnlock()
	return b.Settings[name]
}

// set writes or, with "", removes a setting.
func (s *Service) set(b *bucket, name, document string) error {
	return s.inBucket(b, func() error {
		s.mu.Lock()
		defer s.mu.Unlock()
		changed := bucket{Name: b.Name, Created: b.Created, Settings: maps.Clone(b.Settings)}
		changed.Settings[name] = document
		if document == "" {
			delete(changed.Settings, name)
		}
		if err := s.objectMetadata.saveBucket(&changed); err != nil {
			return err
		}
		b.Settings = changed.Settings
		s.changed()
		return nil
	})
}

type versioningDocument struct {
	XMLName xml.Name `xml:"VersioningConfiguration"`
	Xmlns   string   `xml:"xmlns,attr,omitempty"`
	Status  string   `xml:",omitempty"`
}

func (s *Service) getVersioning(w http.ResponseWriter, r *request) error {
	b, err := s.bucketNamed(r.bucket)
	if err != nil {
		return err
	}
	return writeXML(w, versioningDocument{Xmlns: namespace, Status: s.setting(b, "versioning")})
}

func (s *Service) putVersioning(w http.ResponseWriter, r *request) error {
	b, err := s.bucketNamed(r.bucket)
	if err != nil {
		return err
	}
	var document versioningDocument
	if err := s.readXML(r, &document); err != nil {
		return err
	}
	if document.Status != versioningEnabled && document.Status != versioningSuspended {
		if document.Status != "" {
			return errMalformedXML
		}
		return newError(http.StatusBadRequest, "IllegalVersioningConfigurationException",
			"The Versioning element must be specified")
	}
	if err := s.set(b, "versioning", document.Status); err != nil {
		return err
	}
	w.WriteHeader(http.StatusOK)
	return nil
}

// documentKind is what S3 says about one kind of setting.
type documentKind struct {
	root      string // element
	fallback  string // what stands for having none
	code, msg string // of having none
}

func kindOf(resource string) documentKind {
	switch resource {
	case "tagging":
		return documentKind{root: "Tagging", code: "NoSuchTagSet", msg: "The TagSet does not exist"}
	case "lifecycle":
		return documentKind{root: "LifecycleConfiguration", code: "NoSuchLifecycleConfiguration",
			msg: "The lifecycle configuration does not exist"}
	case "encryption": // which can be changed, but not be taken away
		return documentKind{root: "ServerSideEncryptionConfiguration", fallback: xmlHeader +
			`<ServerSideEncryptionConfiguration xmlns="` + namespace + `"><Rule>` +
			`<ApplyServerSideEncryptionByDefault><SSEAlgorithm>AES256</SSEAlgorithm></ApplyServerSideEncryptionByDefault>` +
			`<BucketKeyEnabled>false</BucketKeyEnabled></Rule></ServerSideEncryptionConfiguration>`}
	case "ownershipControls":
		return documentKind{root: "OwnershipControls", code: "OwnershipControlsNotFoundError",
			msg: "The bucket ownership controls were not found"}
	}
	return documentKind{root: "PublicAccessBlockConfiguration", code: "NoSuchPublicAccessBlockConfiguration",
		msg: "The public access block configuration was not found"}
}

// What every new bucket has.
const (
	newOwnership = xmlHeader + `<OwnershipControls xmlns="` + namespace + `"><Rule>` +
		`<ObjectOwnership>BucketOwnerEnforced</ObjectOwnership></Rule></OwnershipControls>`
	newAccessBlock = xmlHeader + `<PublicAccessBlockConfiguration xmlns="` + namespace + `">` +
		`<BlockPublicAcls>true</BlockPublicAcls><IgnorePublicAcls>true</IgnorePublicAcls><BlockPublicPolicy>true</BlockPublicPolicy>` +
		`<RestrictPublicBuckets>true</RestrictPublicBuckets></PublicAccessBlockConfiguration>`
)

// getSetting gives a document back as it came.
func (s *Service) getSetting(w http.ResponseWriter, r *request) error {
	b, err := s.bucketNamed(r.bucket)
	if err != nil {
		return err
	}
	kind := kindOf(r.resource)
	document := s.setting(b, r.resource)
	if document == "" && kind.fallback == "" {
		return newError(http.StatusNotFound, kind.code, kind.msg).with("BucketName", b.Name)
	}
	if document == "" {
		document = kind.fallback
	}
	return writeDocument(w, "application/xml", []byte(document))
}

func (s *Service) putSetting(w http.ResponseWriter, r *request) error {
	b, err := s.bucketNamed(r.bucket)
	if err != nil {
		return err
	}
	body, err := s.readSmall(r, maxXML)
	if err != nil {
		return err
	}
	var root struct{ XMLName xml.Name }
	if err := decodeXML(body, &root); err != nil {
		return err
	}
	if root.XMLName.Local != kindOf(r.resource).root {
		return errMalformedXML
	}
	if r.resource == "tagging" {
		if err := checkBucketTags(body); err != nil {
			return err
		}
	}
	if err := s.set(b, r.resource, string(body)); err != nil {
		return err
	}
	status := http.StatusOK
	if r.resource == "tagging" {
		status = http.StatusNoContent
	}
	w.WriteHeader(status)
	return nil
}

func (s *Service) deleteSetting(w http.ResponseWriter, r *request) error {
	b, err := s.bucketNamed(r.bucket)
	if err != nil {
		return err
	}
	if err := s.set(b, r.resource, ""); err != nil {
		return err
	}
	w.WriteHeader(http.StatusNoContent)
	return nil
}

// maxPolicy is how many bytes a bucket's policy may have.
const maxPolicy = 20 << 10

func (s *Service) getPolicy(w http.ResponseWriter, r *request) error {
	b, err := s.bucketNamed(r.bucket)
	if err != nil {
		return err
	}
	document := s.setting(b, "policy")
	if document == "" {
		return newError(http.StatusNotFound, "NoSuchBucketPolicy", "The bucket policy does not exist").with("BucketName", b.Name)
	}
	return writeDocument(w, "application/json", []byte(document))
}

func (s *Service) putPolicy(w http.ResponseWriter, r *request) error {
	b, err := s.bucketNamed(r.bucket)
	if err != nil {
		return err
	}
	body, err := s.readSmall(r, maxPolicy)
	if err != nil {
		return err
	}
	var policy struct{ Statement []json.RawMessage }
	if json.Unmarshal(body, &policy) != nil || len(policy.Statement) == 0 {
		return newError(http.StatusBadRequest, "MalformedPolicy", "Policies must be valid JSON and the first byte must be '{'")
	}
	if err := s.set(b, "policy", string(body)); err != nil {
		return err
	}
	w.WriteHeader(http.StatusNoContent)
	return nil
}
