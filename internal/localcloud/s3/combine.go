package s3

import (
	"encoding/base64"
	"encoding/binary"
	"hash/crc32"
	"strconv"
)

// compositeSum is S3's checksum of parts: the algorithm over the parts' sums.
func compositeSum(algorithm string, parts []part) string {
	h := newHash(algorithm)
	for _, p := range parts {
		sum, _ := base64.StdEncoding.DecodeString(p.Sums[algorithm])
		h.Write(sum)
	}
	return encodeSum(h.Sum(nil)) + "-" + strconv.Itoa(len(parts))
}

// fullSum is the CRC of the whole content, from the CRCs of its parts.
func fullSum(algorithm string, parts []part) string {
	poly, width := polynomial(algorithm)
	var crc uint64
	for i, p := range parts {
		sum, _ := base64.StdEncoding.DecodeString(p.Sums[algorithm])
		next := readCRC(sum)
		if i == 0 {
			crc = next
			continue
		}
		crc = shiftCRC(crc, poly, width, p.Size) ^ next
	}
	out := make([]byte, 8)
	binary.BigEndian.PutUint64(out, crc)
	return encodeSum(out[8-width/8:])
}

func readCRC(sum []byte) uint64 {
	var v uint64
	for _, b := range sum {
		v = v<<8 | uint64(b)
	}
	return v
}

// polynomial is a CRC's polynomial, bits reversed, and its width.
func polynomial(algorithm string) (poly uint64, width int) {
	switch algorithm {
	case "CRC32":
		return crc32.IEEE, 32
	case "CRC32C":
		return crc32.Castagnoli, 32
	}
	return crc64NVME, 64
}

// shiftCRC is the CRC as n zero bytes behind would leave it: multiplication by
// x^8n modulo the polynomial, by squaring. Registers and initial values cancel
// out when two CRCs are combined, as zlib's crc32_combine explains.
func shiftCRC(crc, poly uint64, width int, n int64) uint64 {
	power := uint64(1) << (width - 1 - 8) // x^8
	for ; n > 0; n >>= 1 {
		if n&1 == 1 {
			crc = multiply(crc, power, poly, width)
		}
		power = multiply(power, power, poly, width)
	}
	return crc
}

// multiply multiplies two reversed polynomials modulo poly.
func multiply(a, b, poly uint64, width int) uint64 {
	var product uint64
	for bit := uint64(1) << (width - 1); bit != 0; bit >>= 1 { // x^0, x^1, …
		if a&bit != 0 {
			product ^= b
		}
		carry := b & 1
		b >>= 1
		if carry == 1 {
			b ^= poly
		}
	}
	return product
}
