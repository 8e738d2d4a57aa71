// Names what a picture shows, with a Core ML package that edgekit exported, on iOS and macOS.
//
//   edgekit export mobilenet_v3_small.pth --target coreml --int8 --calib images/ --labels labels.txt --out exported
//
// Drag NAME.int8.mlpackage into the Xcode project: Xcode compiles it into the app as NAME.int8.mlmodelc.
//
// Everything that depends on the network is read from the package. See docs/mobile.md for what was checked of this.

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

final class Classifier {
    private let model: VNCoreMLModel
    private let about: About

    /// - Parameter url: of the compiled model: Bundle.main.url(forResource: "NAME.int8", withExtension: "mlmodelc")
    init(url: URL) throws {
        let compiled = try MLModel(contentsOf: url)
        let written = compiled.modelDescription.metadata[.creatorDefinedKey] as? [String: String]
        about = try JSONDecoder().decode(About.self, from: Data((written?["edgekit"] ?? "").utf8))
        model = try VNCoreMLModel(for: compiled)
    }

    /// What a picture shows. Vision turns, crops and scales it, and feeds the network, which normalizes by itself.
    func classify(_ picture: CGImage, orientation: CGImagePropertyOrientation = .up) throws -> String? {
        let request = VNCoreMLRequest(model: model)
        let turned = orientation.rawValue > 4  // those swap width and height
        let (width, height) = (CGFloat(picture.width), CGFloat(picture.height))
        request.regionOfInterest = turned ? region(height, width) : region(width, height)
        request.imageCropAndScaleOption = .scaleFill  // of the region, which has the network's proportions
        try VNImageRequestHandler(cgImage: picture, orientation: orientation).perform([request])
        if let found = request.results as? [VNClassificationObservation] {
            return found.first?.identifier  // a classifier: with --head softmax, where no two labels are the same
        }
        guard let observation = request.results?.first as? VNCoreMLFeatureValueObservation,
            let logits = observation.featureValue.multiArrayValue,
            let best = (0..<logits.count).max(by: { logits[$0].floatValue < logits[$1].floatValue })
        else { return nil }
        return best < about.labels.count ? about.labels[best] : "class \(best)"
    }

    /// The part of a picture that resizing and cropping leave, in fractions of its sides.
    private func region(_ width: CGFloat, _ height: CGFloat) -> CGRect {
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
