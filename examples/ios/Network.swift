// A Core ML package that edgekit exported, on iOS and macOS: what it takes of a picture, and what it answers.
//
//   edgekit export CHECKPOINT --target coreml --int8 --calib images/ --labels labels.txt --out exported
//
// Drag NAME.int8.mlpackage into the Xcode project: Xcode compiles it into the app as NAME.int8.mlmodelc.
//
// Classifier.swift, Detector.swift and Segmenter.swift say what the answer means. Everything that depends on the
// network is read from the package. See docs/mobile.md for what was checked of this.

import CoreML
import ImageIO
import Vision

struct About: Decodable {
    struct Preprocessing: Decodable {
        let size: [CGFloat]  // height, width
        let resize: Resize?
    }

    enum Resize: Decodable {
        case covering(height: CGFloat, width: CGFloat), whole

        init(from decoder: Decoder) throws {
            let value = try decoder.singleValueContainer()
            if let side = try? value.decode(CGFloat.self) {
                self = .covering(height: side, width: side)
            } else if let sides = try? value.decode([CGFloat].self) {
                self = .covering(height: sides[0], width: sides[1])
            } else {
                self = .whole
            }
        }
    }

    let preprocessing: Preprocessing
    let labels: [String]
}

final class Network {
    private let model: VNCoreMLModel
    private let about: About

    /// - Parameter url: of the compiled model: Bundle.main.url(forResource: "NAME.int8", withExtension: "mlmodelc")
    init(url: URL) throws {
        let compiled = try MLModel(contentsOf: url)
        let written = compiled.modelDescription.metadata[.creatorDefinedKey] as? [String: String]
        about = try JSONDecoder().decode(About.self, from: Data((written?["edgekit"] ?? "").utf8))
        model = try VNCoreMLModel(for: compiled)
    }

    /// What a picture gives. Vision turns, crops and scales it, and feeds the network, which normalizes by itself.
    func run(_ picture: CGImage, orientation: CGImagePropertyOrientation = .up) throws -> [VNObservation] {
        let request = VNCoreMLRequest(model: model)
        let size = upright(picture, orientation)
        request.regionOfInterest = region(size.width, size.height)
        request.imageCropAndScaleOption = .scaleFill  // of the region, which has the network's proportions
        try VNImageRequestHandler(cgImage: picture, orientation: orientation).perform([request])
        return request.results ?? []
    }

    /// The name of a class.
    func label(_ index: Int) -> String {
        index < about.labels.count ? about.labels[index] : "class \(index)"
    }

    /// The size of a picture that is turned upright, pixels.
    func upright(_ picture: CGImage, _ orientation: CGImagePropertyOrientation) -> CGSize {
        let turned = orientation.rawValue > 4  // those swap width and height
        let (width, height) = (picture.width, picture.height)
        return turned ? CGSize(width: height, height: width) : CGSize(width: width, height: height)
    }

    /// The part of a picture that resizing and cropping leave, in fractions of its sides.
    func region(_ width: CGFloat, _ height: CGFloat) -> CGRect {
        let (toHeight, toWidth) = (about.preprocessing.size[0], about.preprocessing.size[1])
        let scale: CGFloat  // pixels of the picture in a pixel of the network
        switch about.preprocessing.resize {
        case .whole: return CGRect(x: 0, y: 0, width: 1, height: 1)
        case .covering(let rows, let columns): scale = min(height / rows, width / columns)
        case nil: scale = 1
        }
        let (w, h) = (toWidth * scale / width, toHeight * scale / height)
        return CGRect(x: (1 - w) / 2, y: (1 - h) / 2, width: w, height: h)
    }
}
