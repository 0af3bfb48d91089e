package guard

import (
	"bytes"
	"encoding/binary"
	"errors"
	"math"
)

const soundRate = 8000 // samples a second, of 8 bits

// speak gives a WAV in which the digits are said one by one, each at a speed and height of its own, with uneven pauses, over noise and
// over other digits said backwards.
func (c *Image) speak(digits string) []byte {
	d := new(dice)
	said := make([]float64, soundRate*4/10)
	for _, digit := range digits {
		said = append(said, spoken(c.voice[digit-'0'], d.between(0.86, 1.12), d.between(-0.06, 0.06), d.between(0.8, 1.15))...)
		said = append(said, make([]float64, int(d.between(0.35, 0.75)*soundRate))...)
	}
	for at := d.upTo(soundRate / 4); at < len(said); at += d.upTo(soundRate / 3) {
		murmur := spoken(c.voice[d.upTo(10)], d.between(0.7, 1.4), 0, d.between(0.1, 0.22))
		for i := range murmur {
			if at+i < len(said) {
				said[at+i] += murmur[len(murmur)-1-i]
			}
		}
		at += len(murmur)
	}
	hiss, hum := d.between(3, 5), 0.0
	for i := range said {
		hum = 0.97*hum + d.grain(1)
		said[i] += hiss*d.grain(1) + hum
	}
	return writeWAV(said)
}

// spoken plays a wave faster or slower, which moves its height too, bending as it goes.
func spoken(w []float64, speed, bend, loud float64) []float64 {
	var out []float64
	for at := 0.0; int(at)+1 < len(w); at += speed * (1 + bend*math.Sin(math.Pi*at/float64(len(w)))) {
		i, f := int(at), at-math.Floor(at)
		out = append(out, loud*(w[i]*(1-f)+w[i+1]*f))
	}
	return out
}

// wavHead is the head of a WAV of 8-bit mono at soundRate.
type wavHead struct {
	RIFF         [4]byte
	Size         uint32
	WAVE, Format [4]byte
	FormatSize   uint32
	Coding       uint16 // 1: plain samples
	Channels     uint16
	Rate, Bytes  uint32
	Block, Bits  uint16
	Data         [4]byte
	DataSize     uint32
}

const wavHeadSize = 44

func readWAV(file []byte) ([]float64, error) {
	var h wavHead
	if err := binary.Read(bytes.NewReader(file), binary.LittleEndian, &h); err != nil {
		return nil, err
	}
	if string(h.RIFF[:]) != "RIFF" || string(h.Data[:]) != "data" || h.Coding != 1 || h.Channels != 1 || h.Rate != soundRate || h.Bits != 8 ||
		int(h.DataSize) != len(file)-wavHeadSize {
		return nil, errors.New("not 8-bit mono at 8 kHz")
	}
	wave := make([]float64, h.DataSize)
	for i, b := range file[wavHeadSize:] {
		wave[i] = float64(b) - 128
	}
	return wave, nil
}

func writeWAV(wave []float64) []byte {
	n := uint32(len(wave))
	h := wavHead{RIFF: [4]byte([]byte("RIFF")), Size: wavHeadSize - 8 + n, WAVE: [4]byte([]byte("WAVE")), Format: [4]byte([]byte("fmt ")), FormatSize: 16,
		Coding: 1, Channels: 1, Rate: soundRate, Bytes: soundRate, Block: 1, Bits: 8, Data: [4]byte([]byte("data")), DataSize: n}
	b := bytes.NewBuffer(make([]byte, 0, wavHeadSize+n))
	binary.Write(b, binary.LittleEndian, h)
	for _, x := range wave {
		b.WriteByte(byte(128 + math.Round(max(-127, min(127, x)))))
	}
	return b.Bytes()
}
