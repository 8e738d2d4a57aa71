// Names what a picture shows, with a Core ML package that edgekit exported, on iOS and macOS. It needs Network.swift.
//
//   edgekit export mobilenet_v3_small.pth --target coreml --int8 --calib images/ --labels labels.txt --out exported

import ImageIO
import Vision

final class Classifier {
    private let network: Network

    /// - Parameter url: of the compiled model: Bundle.main.url(forResource: "NAME.int8", withExtension: "mlmodelc")
    init(url: URL) throws {
        network = try Network(url: url)
    }

    /// What a picture shows.
    func classify(_ picture: CGImage, orientation: CGImagePropertyOrientation = .up) throws -> String? {
        let found = try network.run(picture, orientation: orientation)
        if let classes = found as? [VNClassificationObservation] {
            return classes.first?.identifier  // a classifier: with --probabilities softmax, where no two labels are the same
        }
        guard let observation = found.first as? VNCoreMLFeatureValueObservation,
            let logits = observation.featureValue.multiArrayValue,
            let best = (0..<logits.count).max(by: { logits[$0].floatValue < logits[$1].floatValue })
        else { return nil }
        return network.label(best)
    }
}
